"""Moments are met: a bar line on a downbeat, a stroke on an accent, a build before a drop, silence that rings after a stop."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import FUZZ
from tests.unit.clips import clip, direction
from tests.unit.hearing import RATE, level_db
from worker.domain import Hit, Options, Variant
from worker.engines.sketch import SketchEngine
from worker.engines.sketch.bars import BEND
from worker.engines.sketch.composing import compose
from worker.engines.sketch.laying import Wishes
from worker.engines.sketch.timeline import lay_out
from worker.pipeline.direct.vocabulary import GENRES
from worker.pipeline.finish.fit import fit

KINDS = ("accent", "drop", "stop", "downbeat")
hits = st.lists(st.tuples(st.floats(0, 0.999), st.sampled_from(KINDS)), min_size=1, max_size=6)


def hits_at(duration_s, places):
    return tuple(Hit(at_s=round(place * duration_s, 3), kind=kind) for place, kind in places)


def score(genre, duration_s, wanted, *, cuts=(), seed=1, **asked):
    film = clip(duration_s, cuts)
    return compose(duration_s, film.scenes, direction(genre, **asked), seed, "", (), Wishes(hits=wanted))


def starts(made):
    return sorted(
        [note.start_s for part in made.parts for note in part.notes]
        + [hit.start_s for hit in made.hits if hit.sound != "rise"]
    )


@settings(deadline=None, max_examples=20 if FUZZ == 1 else 60)
@given(
    st.floats(1.0, 25.0),
    hits,
    st.lists(st.floats(0.05, 0.95), max_size=4),
    st.sampled_from([*GENRES]),
    st.floats(60, 180),
)
def test_every_hit_is_struck_to_the_sample(duration_s, places, cuts, genre, bpm):
    """Whatever is asked for, however close together and near to the ends: at each hit something begins, and nothing just beside it."""
    wanted = hits_at(duration_s, places)
    cuts = sorted({round(place * duration_s, 3) for place in cuts})
    made = score(genre, duration_s, wanted, cuts=cuts, tempo_bpm=bpm)
    struck = starts(made)
    times = {hit.at_s for hit in wanted}
    for hit in wanted:
        assert hit.at_s in struck
    alone = {note for note in struck if min(abs(note - at_s) for at_s in times) < 0.06} - times
    assert not alone
    assert all(0 <= start < duration_s for start in struck)
    assert all(note.length_s > 0 for part in made.parts for note in part.notes)


@settings(deadline=None, max_examples=50 if FUZZ == 1 else 150)
@given(st.floats(1.0, 60.0), hits, st.lists(st.floats(0, 1), max_size=6), st.floats(40, 220))
def test_bars_follow_each_other_up_to_every_hit(duration_s, places, cuts, bpm):
    """Bars have no gap but breaths of less than a beat, no tempo is more than four percent from what was asked for, and there is an end."""
    film = clip(duration_s, sorted({round(place * duration_s, 3) for place in cuts} - {0.0, round(duration_s, 3)}))
    timeline = lay_out(duration_s, film.scenes, bpm, 4, 0.5, Wishes(hits=hits_at(duration_s, places)))
    assert sum(section.bars for section in timeline.sections) == len(timeline.bars)
    assert 0 <= timeline.final_s < duration_s
    for bar, after in itertools.pairwise(timeline.bars):
        assert after.start_s == pytest.approx(bar.end_s, abs=1e-6)
    for bar in timeline.bars:
        assert abs(60 / bar.beat_s / bpm - 1) <= BEND + 2e-6
        assert 0 <= bar.breath_s < 60 / bpm / (1 - BEND)


@settings(deadline=None, max_examples=50 if FUZZ == 1 else 150)
@given(
    st.lists(st.tuples(st.floats(1.6, 7.0), st.sampled_from(["drop", "stop", "downbeat"])), min_size=1, max_size=6),
    st.floats(60, 180),
)
def test_a_bar_begins_on_every_hit_that_is_more_than_a_stroke(steps, bpm):
    """Hits two beats apart each have a bar line, to the microsecond, whether or not the tempo reaches them."""
    times = list(
        itertools.accumulate(length * 60 / bpm for length, _ in [(max(2.0, length), kind) for length, kind in steps])
    )
    wanted = tuple(Hit(at_s=at_s, kind=kind) for at_s, (_, kind) in zip(times, steps, strict=True))
    timeline = lay_out(times[-1] + 6, clip(times[-1] + 6).scenes, bpm, 4, 0.5, Wishes(hits=wanted))
    begins = np.array([bar.start_s for bar in timeline.bars] + [timeline.final_s])
    for hit in wanted:
        assert np.abs(begins - hit.at_s).min() < 1e-6


def test_a_hit_goes_before_a_cut():
    """Where the tempo cannot have a bar line on both, it has one on the hit, and the cut a stroke; a cut a bar away keeps its border."""
    wanted = Wishes(hits=(Hit(at_s=8.0, kind="downbeat"),))
    timeline = lay_out(20.0, clip(20.0, (6.0, 7.4)).scenes, 120, 4, 0.5, wanted)
    borders = [section.start_s for section in timeline.sections if section.on_cut]
    assert borders == pytest.approx([6.0, 8.0])
    assert timeline.accents_s == pytest.approx([7.5])


def test_accents_are_on_beats_where_the_tempo_reaches_them():
    """An accent 5.1 s in, at 120 bpm, is on a beat of a tempo two percent slower, and needs no border."""
    timeline = lay_out(20.0, clip(20.0).scenes, 120, 4, 0.5, Wishes(hits=(Hit(at_s=5.1),)))
    beats = np.array([bar.at(beat) for bar in timeline.bars for beat in range(bar.beats)])
    assert np.abs(beats - 5.1).min() < 1e-6
    assert all(bar.beats == 4 and not bar.breath_s for bar in timeline.bars[:-1])


@pytest.mark.parametrize("genre", ["house", "cinematic", "ambient", "neoclassical", "folk"])
def test_a_drop_has_a_build_and_a_full_band(genre):
    """The last bar before a drop, here half a one, has no bass and strokes or chords that grow denser and louder; from the drop on all play, and louder."""
    wanted = (Hit(at_s=16.3, kind="drop"),)
    made = score(genre, 30.0, wanted, tempo_bpm=110)
    bar_s = 240 / 110
    (bass,) = (part for part in made.parts if part.role == "bass")
    assert not [note for note in bass.notes if 16.3 - 0.45 * bar_s < note.start_s < 16.25]
    assert [note for note in bass.notes if abs(note.start_s - 16.3) < 0.05]
    rolled = [hit for hit in made.hits if 12.3 < hit.start_s < 16.25 and hit.sound != "rise"]
    if made.hits:
        first, second = ([hit for hit in rolled if begin < hit.start_s <= begin + 2] for begin in (12.3, 14.3))
        assert len(second) > len(first)
        assert np.mean([hit.velocity for hit in second]) > np.mean([hit.velocity for hit in first])
    levels = [energy for start_s, energy in made.sections if 11.5 < start_s < 16.29]
    assert levels == sorted(levels)
    assert len(set(levels)) >= 2
    assert dict(made.sections)[16.3] > max(levels) + 0.1
    sounding = {part.role for part in made.parts if any(16.2 < note.start_s < 16.3 + 2 * bar_s for note in part.notes)}
    assert sounding == {part.role for part in made.parts}


@pytest.mark.parametrize("genre", GENRES)
def test_a_stop_is_silence_up_to_the_next_bar(genre):
    """At a stop all strike and let go; nothing is struck until a bar line at least half a second later, and then it goes on."""
    made = score(genre, 24.0, (Hit(at_s=10.37, kind="stop"),), tempo_bpm=100, cuts=(7.3, 15.0))
    (rest,) = made.rests
    assert rest.start_s == 10.37
    assert 0.5 <= rest.end_s - rest.start_s <= 3.0
    assert not [start for start in starts(made) if rest.start_s < start < rest.end_s - 0.06]
    assert [start for start in starts(made) if abs(start - rest.end_s) < 0.06]
    for part in made.parts:
        for note in part.notes:
            if note.start_s <= rest.start_s:
                assert note.start_s + note.length_s <= rest.start_s + 0.21


def test_a_silence_ends_with_what_comes_next():
    """A cut a second after a stop, or a drop, is where the music goes on."""
    (rest,) = score("pop", 24.0, (Hit(at_s=10.0, kind="stop"),), cuts=(11.3,)).rests
    assert rest.end_s == pytest.approx(11.3)
    (rest,) = score("pop", 24.0, (Hit(at_s=10.0, kind="stop"), Hit(at_s=11.7, kind="drop"))).rests
    assert rest.end_s == pytest.approx(11.7)


def test_a_hit_near_the_end_is_the_last_chord():
    """What is asked for in the last seconds is where all meet and let it ring; what is still later is struck again."""
    made = score("pop", 20.0, (Hit(at_s=18.1), Hit(at_s=19.6, kind="downbeat")))
    assert made.final_s == pytest.approx(18.1)
    assert made.final_s in starts(made)
    assert 19.6 in starts(made)


@pytest.mark.parametrize("genre", ["house", "ambient", "cinematic"])
def test_hits_are_heard_within_fifty_milliseconds(genre):
    """On the finished sound the stroke that means a hit is nowhere further away, and after a stop it is quiet."""
    wanted = (
        Hit(at_s=0.6), Hit(at_s=3.13, kind="downbeat"), Hit(at_s=6.02, kind="stop"), Hit(at_s=10.9, kind="drop"),
        Hit(at_s=12.4), Hit(at_s=15.3),
    )  # fmt: skip
    film = clip(16.0, (5.0, 9.1))
    variant = Variant(index=0, seed=1, direction=direction(genre, tempo_bpm=sum(GENRES[genre].tempo_bpm) / 2))
    (made,) = SketchEngine().compose(film, [variant], Options(hits=wanted), lambda: False)
    heard = fit(made.samples, RATE, film.scenes, [hit.at_s for hit in wanted]).hit_errors_s
    assert all(late is not None and abs(late) <= 0.05 for late in heard), heard
    (rest,) = lay_out(16.0, film.scenes, variant.direction.tempo_bpm, 4, 0.5, Wishes(hits=wanted)).rests
    quarter_s = (rest.end_s - rest.start_s) / 4
    first, last = (
        level_db(made.samples, start, start + quarter_s - 0.06) for start in (rest.start_s, rest.end_s - quarter_s)
    )
    assert last < first - 8


def test_bows_alone_strike_too():
    """Strings without drums, whose tones rise slowly, are heard within fifty milliseconds, two hits a third of a second apart as well."""
    wanted = (Hit(at_s=2.3, kind="downbeat"), Hit(at_s=5.13, kind="drop"), Hit(at_s=7.11), Hit(at_s=7.45))
    film, bows = clip(10.0, (4.0,)), direction("cinematic", instruments=("strings",), description="no drums")
    (made,) = SketchEngine().compose(
        film, [Variant(index=0, seed=1, direction=bows)], Options(hits=wanted), lambda: False
    )
    heard = fit(made.samples, RATE, film.scenes, [hit.at_s for hit in wanted]).hit_errors_s
    assert all(late is not None and abs(late) <= 0.05 for late in heard), heard


def test_a_cut_beside_a_hit_is_met_by_it():
    """A cut a quarter of a second from an accent has no stroke of its own, and the section begins with the accent."""
    made = score("house", 20.0, (Hit(at_s=11.2),), cuts=(10.95,), tempo_bpm=123)
    assert 11.2 in dict(made.sections)
    assert not [hit for hit in made.hits if hit.sound == "crash" and 10.9 < hit.start_s < 11.19]
