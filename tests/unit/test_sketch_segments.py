"""Segments: each stretch of the film has the energy, the players and the mood that its words ask for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import FUZZ
from tests.unit.clips import clip, direction
from tests.unit.hearing import level_db
from worker.domain import Hit, Options, Segment, Variant
from worker.engines.sketch import SketchEngine
from worker.engines.sketch.bars import BEND
from worker.engines.sketch.composing import compose
from worker.engines.sketch.laying import Wishes
from worker.engines.sketch.timeline import lay_out


def score(genre, *segments, seed=1, hits=(), **asked):
    film = clip(32.0, (7.0, 21.0))
    wishes = Wishes(segments=segments, hits=hits)
    return compose(32.0, film.scenes, direction(genre, **asked), seed, "", (), wishes)


def notes(part, start_s, end_s):
    return [note for note in part.notes if start_s - 0.05 <= note.start_s < end_s - 0.05]


@settings(deadline=None, max_examples=40 if FUZZ == 1 else 120)
@given(
    st.lists(st.tuples(st.floats(0.0, 1.0), st.none() | st.floats(0, 1)), min_size=1, max_size=6, unique_by=lambda one: one[0]),
    st.floats(3.0, 60.0), st.floats(40, 220),
)  # fmt: skip
def test_each_segment_has_its_border_and_its_energy(stretches, duration_s, bpm):
    """A section begins within half a beat of every start that has beats of its own around it, and what lies in a segment has its energy."""
    segments = tuple(
        Segment(start_s=round(place * duration_s, 3), energy=energy)
        for place, energy in sorted(stretches, key=lambda one: one[0])
    )
    timeline = lay_out(duration_s, clip(duration_s, (duration_s / 3,)).scenes, bpm, 4, 0.5, Wishes(segments=segments))
    beat_s = 60 / bpm / (1 - BEND)
    borders = np.array([section.start_s for section in timeline.sections] + [timeline.final_s])
    inside = [segment.start_s for segment in segments if segment.start_s < timeline.final_s]
    starts = [0.0, *inside, timeline.final_s]
    for before, here, after in zip(starts, starts[1:], starts[2:], strict=False):
        if here - before > 2 * beat_s and after - here > 2 * beat_s:
            assert np.abs(borders - here).min() <= 0.51 * beat_s
    for section, middle_s in zip(timeline.sections, timeline.middles_s, strict=True):
        asked = [segment.energy for segment in segments if segment.start_s <= middle_s]
        if asked and asked[-1] is not None:
            assert section.energy == asked[-1]
    for bar in timeline.bars:
        assert abs(60 / bar.beat_s / bpm - 1) <= BEND + 2e-6


def test_a_border_is_exact_where_the_tempo_reaches_it():
    """Nine seconds in, at 100 bpm, are fifteen beats: nothing is bent, and a hit there is one border with it."""
    for hits in ((), (Hit(at_s=9.0, kind="downbeat"),)):
        timeline = lay_out(30.0, clip(30.0).scenes, 100, 4, 0.5, Wishes(segments=(Segment(start_s=9.0),), hits=hits))
        assert [section.start_s for section in timeline.sections if section.on_cut] == pytest.approx([9.0])


@pytest.mark.parametrize("genre", ["pop", "cinematic", "ambient"])
def test_loudness_and_density_follow_the_asked_energy(genre):
    """From 0.1 to 0.9 and back: the middle has more notes, and is louder by 3 dB and more."""
    segments = tuple(Segment(start_s=start, energy=energy) for start, energy in ((0.0, 0.1), (9.6, 0.9), (19.2, 0.1)))
    wanted = direction(genre, tempo_bpm=100)
    film = clip(30.0)
    made = compose(30.0, film.scenes, wanted, 1, "", (), Wishes(segments=segments))
    counts = [
        sum(start <= note.start_s < start + 8 for part in made.parts for note in part.notes)
        + sum(start <= hit.start_s < start + 8 for hit in made.hits)
        for start in (1.0, 10.5, 19.5)
    ]
    assert counts[1] > 1.15 * max(counts[0], counts[2])
    (track,) = SketchEngine().compose(
        film, [Variant(index=0, seed=1, direction=wanted)], Options(segments=segments), lambda: False
    )
    levels = [level_db(track.samples, start, start + 7) for start in (1.0, 11.0, 20.5)]
    assert levels[1] > max(levels[0], levels[2]) + 3


def test_words_name_who_plays():
    """A flute that is asked for in the middle plays the tune there, and only there; the pad goes on, and the tune is the same."""
    made = score("cinematic", Segment(start_s=9.6, prompt="a lonely flute"), Segment(start_s=19.2), tempo_bpm=100)
    leads = {part.instrument: part for part in made.parts if part.role == "lead"}
    assert set(leads) == {"strings", "flute"}
    assert notes(leads["flute"], 9.6, 19.2)
    assert notes(leads["flute"], 9.6, 19.2) == leads["flute"].notes
    assert not notes(leads["strings"], 9.6, 19.2)
    assert [part.instrument for part in made.parts if part.role == "pad"] == ["strings"]


def test_words_take_drums_out_and_bring_them():
    """Without drums nobody drums in that stretch; with them somebody does where the rest has none."""
    made = score("rock", Segment(start_s=9.6, prompt="no drums, soft"), Segment(start_s=19.2), tempo_bpm=100)
    assert {hit.start_s for hit in made.hits if 9.7 < hit.start_s < 17.5 and hit.sound != "rise"} == set()
    assert [hit for hit in made.hits if hit.start_s > 20]
    made = score("ambient", Segment(start_s=9.6, prompt="with hand percussion"), Segment(start_s=19.2), tempo_bpm=100)
    assert {9.5 < hit.start_s < 19.25 for hit in made.hits} == {True}


def test_a_genre_in_the_words_lends_its_instruments():
    """Words that name a genre but no instrument bring that genre's players."""
    made = score("pop", Segment(start_s=9.6, prompt="like a jazz club"), Segment(start_s=19.2), tempo_bpm=100)
    assert notes(next(part for part in made.parts if part.instrument == "saxophone"), 9.6, 19.2)


def test_words_of_mood_change_energy_and_light():
    """A sad stretch of a bright piece is calmer and begins on the relative minor's chord; an asked energy goes before a word's."""
    plain = score("pop", Segment(start_s=9.6), Segment(start_s=19.2), key="C major", tempo_bpm=100)
    sad = score("pop", Segment(start_s=9.6, prompt="sad"), Segment(start_s=19.2), key="C major", tempo_bpm=100)
    assert dict(sad.sections)[9.6] < dict(plain.sections)[9.6]
    (bass,) = (part for part in sad.parts if part.role == "bass")
    assert notes(bass, 9.6, 10.0)[0].pitch % 12 == 9
    both = score(
        "pop", Segment(start_s=9.6, prompt="sad", energy=0.9), Segment(start_s=19.2), key="C major", tempo_bpm=100
    )
    assert dict(both.sections)[9.6] == 0.9
