"""Bars meet the picture: cuts become section borders, at a small price in tempo."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import FUZZ
from tests.unit.clips import clip, direction
from worker.engines.sketch.bars import BEND, ROUNDING_S, TOLERANCE_S
from worker.engines.sketch.composing import compose
from worker.engines.sketch.harmony import chord, voicing
from worker.engines.sketch.timeline import lay_out
from worker.pipeline.direct.keys import find_key
from worker.pipeline.direct.vocabulary import GENRES

durations = st.floats(0.2, 180.0)


@settings(deadline=None, max_examples=50 if FUZZ == 1 else 150)
@given(durations, st.lists(st.floats(0, 1), max_size=12), st.floats(40, 220), st.sampled_from([3, 4]))
def test_bars_follow_each_other_without_gap(duration_s, places, bpm, beats_per_bar):
    """Bars fill the time from 0 to the last chord, inside the clip, at tempi within four percent of the asked one."""
    cuts = sorted({round(place * duration_s, 3) for place in places} - {0.0, round(duration_s, 3)})
    timeline = lay_out(duration_s, clip(duration_s, cuts).scenes, bpm, beats_per_bar, 0.5)
    assert 0 <= timeline.final_s < duration_s
    assert sum(section.bars for section in timeline.sections) == len(timeline.bars)
    ends = [0.0, *(bar.end_s for bar in timeline.bars)]
    for bar, end in zip(timeline.bars, ends, strict=False):
        assert bar.start_s == pytest.approx(end, abs=1e-6)
        assert abs(60 / bar.beat_s / bpm - 1) <= BEND + 1e-9
    assert ends[-1] == pytest.approx(timeline.final_s)
    for accent in timeline.accents_s:
        assert any(bar.start_s - ROUNDING_S <= accent < bar.end_s for bar in timeline.bars)


@settings(deadline=None, max_examples=33 if FUZZ == 1 else 100)
@given(st.floats(60, 180), st.lists(st.floats(3.0, 9.0), min_size=1, max_size=6))
def test_cuts_seconds_apart_are_all_met(bpm, lengths):
    """Cuts at least five beats apart each get a bar line within 80 ms, or an accent when four percent are not enough."""
    cuts = list(itertools.accumulate(lengths))
    timeline = lay_out(cuts[-1] + 6, clip(cuts[-1] + 6, cuts).scenes, bpm, 4, 0.5)
    borders = [section.start_s for section in timeline.sections if section.on_cut]
    half_beat = 60 / bpm / 2
    for cut in cuts:
        met = min((abs(cut - border) for border in borders), default=9) <= TOLERANCE_S + 1e-6
        marked = min((abs(cut - accent) for accent in timeline.accents_s), default=9) <= half_beat * 0.6
        assert met or marked


def test_a_cut_on_a_bar_line_costs_nothing():
    """At 120 BPM a cut at 8 s is a bar line already: the tempo stays."""
    timeline = lay_out(16.0, clip(16.0, (8.0,)).scenes, 120.0, 4, 0.5)
    assert timeline.bpm == pytest.approx(120)
    assert [section.start_s for section in timeline.sections if section.on_cut] == [8.0]
    assert {bar.beats for bar in timeline.bars} == {4}


def test_a_cut_a_rounding_error_beside_a_bar_line_gets_its_accent():
    """Accents lie on beats, and a beat may be an ulp behind the end of its bar and before the next: the piece is written all the same."""
    scenes = clip(166.86, (34.88, 55.52, 56.2, 62.84, 70.56, 95.84, 97.12, 164.92)).scenes
    timeline = lay_out(166.86, scenes, 62.0, 4, 0.5)
    assert any(all(not bar.start_s <= time_s < bar.end_s for bar in timeline.bars) for time_s in timeline.accents_s)
    assert compose(166.86, scenes, direction("house", tempo_bpm=62.0), 1).parts


def test_lively_scenes_get_more_energy():
    """The motion of the picture lifts the music over it."""
    calm, lively = lay_out(16.0, clip(16.0, (8.0,), motions=(0.1, 0.9)).scenes, 120, 4, 0.5).sections
    assert lively.energy > calm.energy + 0.2


@pytest.mark.parametrize("genre", GENRES)
def test_scores_stay_in_range_and_in_time(genre):
    """Notes start inside the clip, in the range of real instruments, and everybody plays the last chord together."""
    film = clip(30.0, (7.7, 13.1, 22.0))
    score = compose(30.0, film.scenes, direction(genre, key="E minor"), 5)
    assert score.parts
    for part in score.parts:
        for note in part.notes:
            assert 0 <= note.start_s < 30
            assert note.length_s > 0
            assert 24 <= note.pitch <= 103
            assert 0 < note.velocity <= 1
    assert all(0 <= hit.start_s < 30 for hit in score.hits)


def test_voices_move_little():
    """Between the chords of a cadence no voice leaps more than a fourth, and the chord tones are all right."""
    key = find_key("C major")
    previous = None
    for symbol in ["1", "6", "4", "5", "1", "3", "4", "1"]:
        triad = chord(key, symbol, 3)
        voices = voicing(triad, 4, previous, 60)
        assert {pitch % 12 for pitch in voices} == set(triad.tones)
        if previous:
            assert max(abs(new - old) for new, old in zip(voices, previous, strict=True)) <= 5
        previous = voices


def test_minor_cadences_have_their_leading_tone():
    """The dominant of a minor key is major."""
    assert chord(find_key("A minor"), "5!", 3).tones == (4, 8, 11)
