"""Mending: the bars of one part are new, and everything else is to the bit what it was."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import FUZZ
from tests.unit.clips import clip, direction
from tests.unit.hearing import RATE, level_db
from worker.domain import Hit, Options, Part, Segment, Span, Variant
from worker.engines.sketch import SketchEngine
from worker.engines.sketch.composing import Again, compose
from worker.engines.sketch.laying import Wishes
from worker.engines.sketch.timeline import lay_out
from worker.errors import Rejected
from worker.pipeline.direct.vocabulary import GENRES

FILM = clip(24.0, (7.3, 14.6))
PLAIN = Wishes()


def score(genre, seed, part=None, *, new=9, wishes=PLAIN, **asked):
    """By `seed`, or with a part of `new`."""
    again = Again(part=Span(start_s=part[0], end_s=part[1]), seed=seed) if part else None
    wanted = direction(genre, tempo_bpm=sum(GENRES[genre].tempo_bpm) / 2, **asked)
    return compose(24.0, FILM.scenes, wanted, new if part else seed, "", (), wishes, again)


def notes(made, window, *, inside):
    """Of each part what begins in the window or outside, but for what is held over its edges; strokes too."""

    def chosen(start_s):
        return (window.start_s - 0.05 <= start_s < window.end_s - 0.05) == inside

    pitched = {
        (part.role, note)
        for part in made.parts
        for note in part.notes
        if chosen(note.start_s) and (inside or not note.start_s < window.start_s < note.start_s + note.length_s + 0.1)
    }
    return pitched | {("drums", hit) for hit in made.hits if chosen(hit.start_s) and hit.sound != "rise"}


@pytest.mark.parametrize("genre", GENRES)
@pytest.mark.parametrize("part", [(0.5, 3.0), (9.0, 12.5), (21.0, 24.0)])
def test_all_but_the_bars_of_the_part_is_as_it_was(genre, part):
    """Bars that the part touches have other notes, all others have theirs to the bit, on one and the same timeline."""
    old, made = score(genre, 4), score(genre, 4, part)
    window = made.mended
    assert window.start_s <= part[0]
    assert window.end_s >= part[1]
    assert (made.bpm, made.final_s, made.sections, made.key) == (old.bpm, old.final_s, old.sections, old.key)
    assert notes(made, window, inside=False) == notes(old, window, inside=False)
    was, now = (notes(one, window, inside=True) for one in (old, made))
    assert len(now - was) > 0.5 * len(now)
    pitches = [
        {(role, one.pitch, round(one.start_s, 1)) for role, one in found if role != "drums"} for found in (was, now)
    ]
    assert len(pitches[1] - pitches[0]) > 0.15 * len(pitches[1])


@settings(deadline=None, max_examples=13 if FUZZ == 1 else 40)
@given(st.floats(0, 23.9), st.floats(0.05, 24), st.sampled_from([*GENRES]), st.integers(0, 99))
def test_the_window_is_the_bars_that_the_part_touches(start_s, length_s, genre, seed):
    """It begins and ends with bars, has the part inside, and is longer than it by less than a bar at either end."""
    part = (start_s, min(24.0, start_s + length_s))
    made = score(genre, seed, part, new=seed + 1)
    wanted = direction(genre, tempo_bpm=sum(GENRES[genre].tempo_bpm) / 2)
    timeline = lay_out(24.0, FILM.scenes, wanted.tempo_bpm, 4, 0.5)
    edges = np.array([0.0, *(bar.start_s for bar in timeline.bars), timeline.final_s, 24.0])
    for at_s in (made.mended.start_s, made.mended.end_s):
        assert np.abs(edges - at_s).min() < 1e-6
    assert made.mended.start_s <= start_s + 1e-6
    assert made.mended.end_s >= part[1] - 1e-6
    longest = max(bar.end_s - bar.start_s for bar in timeline.bars)
    assert start_s - made.mended.start_s <= longest + (24.0 - timeline.final_s)
    assert made.mended.end_s - part[1] <= longest + (24.0 - timeline.final_s)
    held = [note for one in made.parts for note in one.notes if note.start_s < made.mended.start_s - 0.06]
    assert all(note.start_s + note.length_s < made.mended.start_s + 0.15 for note in held)


def test_the_last_bar_of_the_part_keeps_the_chord_that_leads_on():
    """The bass of the bar before the part, of its last bar and of the one after are on their old chords, those between are not all."""
    old, made = score("rock", 3, key="A minor"), score("rock", 3, (8.0, 14.0), key="A minor")
    timeline = lay_out(24.0, FILM.scenes, sum(GENRES["rock"].tempo_bpm) / 2, 4, 0.5)
    inside = [
        bar.start_s for bar in timeline.bars if made.mended.start_s - 1e-6 <= bar.start_s < made.mended.end_s - 1e-6
    ]

    def root(one, at_s):
        (bass,) = (part for part in one.parts if part.role == "bass")
        return min((note for note in bass.notes), key=lambda note: abs(note.start_s - at_s)).pitch % 12

    assert root(old, inside[-1]) == root(made, inside[-1])
    assert root(old, made.mended.end_s) == root(made, made.mended.end_s)
    assert [root(old, at_s) for at_s in inside[:-1]] != [root(made, at_s) for at_s in inside[:-1]]


def test_hits_segments_and_loops_are_mended_too():
    """What was asked of the form holds in the part as well: a hit in it is struck to the sample."""
    wishes = Wishes(hits=(Hit(at_s=10.4, kind="drop"),), segments=(Segment(start_s=5.0, prompt="flute"),), loops=True)
    old, made = score("pop", 4, wishes=wishes), score("pop", 4, (9.0, 12.0), wishes=wishes)
    assert notes(made, made.mended, inside=False) == notes(old, made.mended, inside=False)
    assert [hit for hit in made.hits if hit.start_s == 10.4]


def test_a_mended_track_goes_on_as_loud_as_the_old_one():
    """The engine gives the whole length, says what is new, and is with the old gain as loud as the stored track around it."""
    engine, wanted, options = SketchEngine(), direction("pop", tempo_bpm=110), Options()
    (old,) = engine.compose(FILM, [Variant(index=0, seed=4, direction=wanted)], options, lambda: False)
    kept = Part(start_s=9.0, end_s=12.0, seed=4, gain_db=5.0, samples=old.samples * 10 ** (5 / 20), sample_rate=RATE)
    made = engine.mend(FILM, Variant(index=1, seed=9, direction=wanted), kept, options, lambda: False)
    assert made.samples.shape == old.samples.shape
    assert made.index == 1
    assert made.mended == score_window(wanted)
    for start, end in (
        (made.mended.start_s - 2, made.mended.start_s),
        (made.mended.end_s + 0.5, made.mended.end_s + 2.5),
    ):
        assert level_db(made.samples, start, end) == pytest.approx(level_db(old.samples, start, end), abs=0.7)
    before = slice(RATE * 4, RATE * 7)
    assert np.corrcoef(made.samples[0, before], old.samples[0, before])[0, 1] > 0.9
    inside = slice(round(made.mended.start_s * RATE), round(made.mended.end_s * RATE))
    assert np.corrcoef(made.samples[0, inside], old.samples[0, inside])[0, 1] < 0.8


def score_window(wanted):
    again = Again(part=Span(start_s=9.0, end_s=12.0), seed=4)
    return compose(24.0, FILM.scenes, wanted, 9, "", (), PLAIN, again).mended


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ({"start_s": 24.5, "end_s": 25.0}, "is no part"),
        ({"start_s": 5.0, "end_s": 5.0}, "is no part"),
        ({"sample_rate": 48000}, "48000"),
    ],
)
def test_what_is_no_part_is_refused(part, sentence):
    """A stretch outside of the track, or a track at another rate, is named in the error."""
    kept = Part(start_s=1.0, end_s=2.0, seed=4, gain_db=0.0, samples=np.zeros((2, 10), np.float32), sample_rate=RATE)
    with pytest.raises(Rejected, match=sentence) as refused:
        SketchEngine().mend(
            FILM,
            Variant(index=0, seed=9, direction=direction()),
            dataclasses.replace(kept, **part),
            Options(),
            lambda: False,
        )
    assert refused.value.code == "cannot_mend"
