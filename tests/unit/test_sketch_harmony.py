"""Harmony: voices that stay voices, and a bass that goes somewhere."""

import itertools

import pytest

from tests.unit.clips import clip, direction
from worker.engines.sketch.composing import compose
from worker.engines.sketch.harmony import chord, ground, parallels, voicing
from worker.engines.sketch.measures import tonicising
from worker.engines.sketch.styles import STYLES
from worker.pipeline.direct.keys import find_key


def test_parallels_are_fifths_and_octaves_that_go_on_the_same_way():
    """A fifth that moves up into a fifth counts, one that stays, turns round or becomes a sixth does not."""
    assert parallels((48, 55), (50, 57)) == 1
    assert parallels((48, 60, 67), (50, 62, 69)) == 3
    assert parallels((48, 55), (48, 55)) == 0
    assert parallels((60, 67), (55, 74)) == 0
    assert parallels((48, 55), (50, 59)) == 0


@pytest.mark.parametrize("genre", STYLES)
def test_voices_hardly_ever_go_in_parallel(genre):
    """In every genre's own progressions, under one in twenty chord changes has parallel fifths or octaves, the bass included."""
    style = STYLES[genre]
    bad = changes = 0
    for name, pool in (("D minor", style.dark), ("Eb major", style.bright)):
        for progression in pool:
            chords = [chord(find_key(name), symbol, style.chord_size) for symbol in progression.split() * 3]
            low = ground(chords, [style.inverts] * len(chords), 38)
            played = [voicing(chords[0], 4, None, 60, (low[0], low[0]))]
            for (one, now), bass in zip(itertools.pairwise(chords), itertools.pairwise(low), strict=True):
                played.append(voicing(now, 4, played[-1], 60, bass))
                changes += one != now
                bad += parallels((bass[0], *played[-2]), (bass[1], *played[-1])) > 0
    assert bad < 0.05 * changes


def test_the_bass_moves_by_small_steps_where_it_may_invert():
    """Free of the root, it goes 1 5/7 6 4/6 down the scale instead of leaping."""
    chords = [chord(find_key("C major"), symbol, 3) for symbol in ("1", "5", "6")]
    assert ground(chords, [False, True, False], 45) == [48, 47, 45]
    assert {pitch % 12 for pitch in ground(chords, [False] * 3, 45)} == {0, 7, 9}


def test_the_ground_of_a_root_bass_is_the_root():
    """Where nothing is free, every bass is its chord's root, in the range of the instrument."""
    chords = [chord(find_key("F# minor"), symbol, 4) for symbol in ("1", "6", "3", "7", "4", "5!")]
    low = ground(chords, [False] * 6, 36)
    assert [pitch % 12 for pitch in low] == [one.root for one in chords]
    assert all(31 <= pitch <= 45 for pitch in low)


def test_a_chord_a_fifth_above_becomes_the_dominant_of_the_next():
    """In C major A minor before D minor is A major; what leads home, or nowhere, stays as it is."""
    key = find_key("C major")
    assert [tonicising(*pair, key) for pair in (("6", "2"), ("2", "5"), ("5", "1"), ("6", "4"))] == [
        "6!",
        "2",
        "5",
        "6",
    ]
    assert tonicising("4", "7", find_key("A minor")) == "4!"
    assert chord(key, "6!", 4).tones == (9, 1, 4, 7)


def test_a_pad_comes_late_to_a_third_and_goes_down_to_it():
    """In a style that suspends, a voice is held over into the next chord for two beats and then falls by a step to the third."""
    held = [score(genre, seed) for genre in ("cinematic", "neoclassical", "pop") for seed in range(4)]
    falls = [
        (one.pitch - other.pitch, round((other.start_s - one.start_s) * made.bpm / 60))
        for made in held
        for part in made.parts
        if part.role == "pad"
        for one in part.notes
        for other in part.notes
        if abs(one.start_s + one.length_s - other.start_s) < 0.05 and 1 <= one.pitch - other.pitch <= 2
    ]
    assert sum(beats == 2 for _, beats in falls) >= 5


def score(genre, seed):
    return compose(30.0, clip(30.0).scenes, direction(genre, tempo_bpm=100), seed)
