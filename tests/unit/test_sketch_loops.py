"""Loops: whole bars fill the film, the last one leads into the first, and nobody hears where it begins again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import seams
from tests.conftest import FUZZ
from tests.unit.clips import clip, direction
from tests.unit.hearing import RATE
from worker.domain import Hit, Options, Variant
from worker.engines.sketch import SketchEngine
from worker.engines.sketch.bars import BEND
from worker.engines.sketch.composing import compose
from worker.engines.sketch.laying import Wishes
from worker.engines.sketch.timeline import lay_out
from worker.pipeline.direct.vocabulary import GENRES

LOOP = Wishes(loops=True)


@settings(deadline=None, max_examples=50 if FUZZ == 1 else 150)
@given(
    st.floats(0.2, 120.0), st.lists(st.floats(0, 1), max_size=6), st.floats(40, 220),
    st.lists(st.tuples(st.floats(0, 0.999), st.sampled_from(["accent", "drop", "stop", "downbeat"])), max_size=3),
)  # fmt: skip
def test_bars_fill_the_film_exactly(duration_s, places, bpm, hits):
    """The last bar ends with the film; from thirteen beats on, or to a border, no tempo bends by more than four percent; no chord ends it."""
    cuts = sorted({round(place * duration_s, 3) for place in places} - {0.0, round(duration_s, 3)})
    wanted = Wishes(loops=True, hits=tuple(Hit(at_s=place * duration_s, kind=kind) for place, kind in hits))
    timeline = lay_out(duration_s, clip(duration_s, cuts).scenes, bpm, 4, 0.5, wanted)
    assert timeline.final_s == duration_s
    if timeline.bars:
        assert timeline.bars[-1].end_s == pytest.approx(duration_s, abs=1e-6)
    if not hits:
        assert timeline.bars[0].start_s == 0
        assert not any(bar.breath_s > 1e-6 for bar in timeline.bars)
    # Of a shorter loop with one border, that at its beginning, the whole is filled, whatever it costs in tempo.
    bordered = bool(timeline.sections[1:] or (timeline.bars and timeline.bars[0].start_s > 0))
    if duration_s > 13 * 60 / bpm or bordered:
        assert all(abs(60 / bar.beat_s / bpm - 1) <= BEND + 2e-6 for bar in timeline.bars) or not timeline.bars[1:]


def test_a_loop_has_whole_bars_where_the_tempo_reaches_them():
    """Twenty seconds at 100 bpm are eight bars and a third: eight are played, a hair slower, and the tempo says so."""
    timeline = lay_out(20.0, clip(20.0).scenes, 100, 4, 0.5, LOOP)
    assert [bar.beats for bar in timeline.bars] == [4] * 8
    assert timeline.bpm == pytest.approx(96)


@pytest.mark.parametrize("genre", GENRES)
def test_the_last_bar_leads_into_the_first(genre):
    """Nothing is struck for the end; the band plays through the last bar, on a chord that leads home, and from the first on."""
    made = compose(16.0, clip(16.0).scenes, direction(genre, tempo_bpm=120, key="C major"), 1, "", (), LOOP)
    notes = [note for part in made.parts for note in part.notes]
    assert made.loops
    assert [note for note in notes if note.start_s < 0.1]
    assert [note for note in notes if note.start_s > 15.0 or note.start_s + note.length_s > 15.8]
    assert max(note.start_s + note.length_s for note in notes) < 16.5
    basses = sorted(note for part in made.parts if part.role == "bass" for note in part.notes)
    assert basses[0].pitch % 12 in {0, 4, 5, 9}
    assert not [hit for hit in made.hits if hit.sound == "crash" and hit.start_s > 15]


def at_bar_lines(track, lines_s):
    """How the sound jumps and steps at each of these seconds of a loop that is played twice, against anywhere else."""
    wave, length = np.tile(track.samples.mean(axis=0).astype(float), 2), track.samples.shape[1]
    found = []
    for line_s in lines_s:
        first = round(((line_s * RATE) + length / 2) % length)
        found.append(seams.listen(wave[first : first + length], RATE, [length / RATE / 2]))
    return found


@pytest.mark.parametrize("genre", ["ambient", "lo-fi", "folk", "house"])
def test_nobody_hears_where_it_begins_again(genre):
    """To the seam meter the wrap is a bar line like the others, sample by sample it goes on, and an ending would be told."""
    film, wanted = clip(11.0, (5.5,)), direction(genre, tempo_bpm=sum(GENRES[genre].tempo_bpm) / 2)
    variant = Variant(index=0, seed=1, direction=wanted)
    (loop,), (ends,) = (
        SketchEngine().compose(film, [variant], Options(loop=loop), lambda: False) for loop in (True, False)
    )
    assert loop.loops
    assert not ends.loops
    assert loop.samples.shape == (2, 11 * RATE)
    bars = lay_out(11.0, film.scenes, wanted.tempo_bpm, 4, 0.5, LOOP).bars
    wrap, *others = at_bar_lines(loop, [bar.start_s for bar in bars])
    assert wrap.jump_median <= 1.25 * max(other.jump_median for other in others)
    assert wrap.step_db <= max(other.step_db for other in others) + seams.STEP_DB
    (hard,) = at_bar_lines(ends, [0.0])
    assert hard.jump_median > 1.2 * wrap.jump_median
    across = np.abs(loop.samples[:, 0] - loop.samples[:, -1]).max()
    around = np.abs(np.diff(np.concatenate([loop.samples[:, -400:], loop.samples[:, :400]], axis=1))).max()
    assert across <= around


def test_tails_ring_at_the_beginning():
    """What rings beyond the end is heard at the beginning: reverb is there before anything is struck."""
    film = clip(8.0)
    variant = Variant(index=0, seed=1, direction=direction("ambient", tempo_bpm=60))
    (loop,), (ends,) = (
        SketchEngine().compose(film, [variant], Options(loop=loop), lambda: False) for loop in (True, False)
    )
    first = slice(0, RATE // 1000)
    assert np.square(loop.samples[:, first]).mean() > 30 * np.square(ends.samples[:, first]).mean()


@pytest.mark.parametrize("duration_s", [0.2, 0.5, 1.3, 3.0])
def test_short_loops_have_their_length(duration_s):
    """From a fifth of a second on a loop is as long as its film."""
    variant = Variant(index=0, seed=1, direction=direction("pop"))
    (made,) = SketchEngine().compose(clip(duration_s), [variant], Options(loop=True), lambda: False)
    assert made.samples.shape == (2, round(duration_s * RATE))
    assert np.isfinite(made.samples).all()
    assert np.abs(made.samples).max() > 0.3
