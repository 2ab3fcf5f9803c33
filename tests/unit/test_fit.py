"""The fit report: what is known of a click track, silence and noise is what is said."""

import itertools
import json

import numpy as np
import pytest

from tests.unit.test_hearing import RATE, clicks, noise
from worker.domain import Hit, Scene, Track
from worker.pipeline.finish.fit import fit
from worker.pipeline.finish.loudness import loudness_range, weighted_power
from worker.pipeline.finish.master import master

SECONDS = 24.0
CUTS_S = {100: (3.0, 7.2, 10.8, 15.6, 19.2), 120: (3.0, 7.5, 11.0, 15.5, 19.0)}
"""On beats that begin at 0."""


def scenes(cuts_s, motions=(0.3,), seconds=SECONDS):
    edges = [0.0, *cuts_s, seconds]
    return tuple(
        Scene(
            start_s=start_s, end_s=end_s, brightness=0.5, saturation=0.5, warmth=0.5, motion=motions[n % len(motions)]
        )
        for n, (start_s, end_s) in enumerate(itertools.pairwise(edges))
    )


def pulse(bpm, shifted_s=0.0):
    return clicks(np.arange(shifted_s, SECONDS - 0.1, 60 / bpm), SECONDS, RATE)


@pytest.mark.parametrize(
    ("bpm", "shifted_s", "met"),
    [(100, 0, 5), (100, 0.05, 5), (100, 0.15, 0), (100, 0.3, 0), (120, 0, 5), (120, 0.05, 5), (120, 0.15, 0), (120, 0.3, 0)],
)  # fmt: skip
def test_cuts_on_clicks_are_counted_and_praised_and_others_are_not(bpm, shifted_s, met):
    """Clicks on the cuts or 50 ms beside them meet all five; 150 and 300 ms beside them none; chance is 0.2 s over a beat."""
    found = fit(pulse(bpm, shifted_s), RATE, scenes(CUTS_S[bpm]))
    assert (found.cuts, found.on_beat, found.on_cuts) == (5, met, met == 5)
    assert found.bpm == pytest.approx(bpm, abs=0.1)
    assert found.chance == pytest.approx(0.2 * bpm / 60, abs=0.001)
    assert found.luck == pytest.approx(found.chance**5 if met else 1)


@pytest.mark.parametrize("shifted_s", [0.0, 0.05, 0.15])
def test_a_hit_is_as_late_as_its_click(shifted_s):
    """The stroke that is meant is found, and how late it is, to 5 ms; a hit in silence has none."""
    track = clicks([5 + shifted_s, 12 + shifted_s], SECONDS, RATE)
    found = fit(track, RATE, scenes(()), hits_s=(5, 12, 18))
    assert found.hit_errors_s[:2] == pytest.approx((shifted_s, shifted_s), abs=0.005)
    assert found.hit_errors_s[2] is None


def test_a_hit_between_two_clicks_is_off_by_the_way_to_the_nearer_one():
    """Early is negative."""
    found = fit(pulse(100), RATE, scenes(()), hits_s=(5.6,))
    assert found.hit_errors_s == pytest.approx((-0.2,), abs=0.005)


def test_a_hit_is_not_met_by_a_faint_click_before_a_loud_one():
    """What is under a third of the strongest stroke around is not what is meant."""
    track = clicks([12.1], SECONDS, RATE) + 0.0005 * clicks([12.0], SECONDS, RATE)
    assert fit(track, RATE, scenes(()), hits_s=(12,)).hit_errors_s == pytest.approx((0.1,), abs=0.005)


def test_silence_fits_nothing():
    """No beat, no stroke, no loudness, no praise; chance would give nothing either."""
    found = fit(np.zeros((2, int(SECONDS * RATE)), np.float32), RATE, scenes(CUTS_S[100]), hits_s=(5,))
    assert (found.cuts, found.on_beat, found.chance, found.on_cuts, found.follows) == (5, 0, None, False, False)
    assert (found.curve, found.hit_errors_s, found.beats_s, found.bpm, found.key) == (None, (None,), (), None, None)
    assert (found.loudness_lufs, found.lra_lu, found.true_peak_db) == (None, None, None)


@pytest.mark.parametrize("colour", ["white", "pink", "brown"])
def test_noise_fits_nothing(colour):
    """What hisses has no beats, and follows no picture further than chance goes."""
    found = fit(noise(colour, SECONDS), RATE, scenes(CUTS_S[100], (0.1, 0.9)), hits_s=(5,))
    assert (found.on_beat, found.chance, found.on_cuts, found.follows) == (0, None, False, False)
    assert found.lra_lu < 2


def test_one_cut_on_a_beat_is_no_merit():
    """Chance meets one of one in every third film."""
    found = fit(pulse(100), RATE, scenes((6.0,)))
    assert (found.on_beat, found.on_cuts, found.luck) == (1, False, pytest.approx(1 / 3, abs=0.001))


def test_music_that_is_busy_where_the_picture_is_follows_it():
    """Strokes come fast where much moves and slowly where little does; the same music half a film later does not follow."""
    busy = np.concatenate([np.arange(0, 8, 1.0), np.arange(8, 16, 0.25), np.arange(16, 23.9, 1.0)])
    film = scenes((8.0, 16.0), (0.1, 0.9))
    found = fit(clicks(busy, SECONDS, RATE), RATE, film)
    assert found.follows
    assert found.curve > 0.6
    assert not fit(np.roll(clicks(busy, SECONDS, RATE), int(12 * RATE), axis=1), RATE, film).follows


def test_a_pulse_follows_no_picture():
    """What is the same all the time goes with nothing."""
    assert not fit(pulse(120), RATE, scenes(CUTS_S[120], (0.1, 0.9))).follows


@pytest.mark.parametrize(
    ("levels_db", "range_lu"), [((-20, -30), 10), ((-20, -15), 5), ((-40, -20), 20), ((-50, -35, -20, -35, -50), 15)]
)
def test_the_loudness_range_is_that_of_the_ebu_signals(levels_db, range_lu):
    """The first four tests of EBU Tech 3342: tones of 20 s at several levels."""
    tone = np.sin(2 * np.pi * 1000 * np.arange(20 * 48_000) / 48_000)
    track = np.concatenate([10 ** (level_db / 20) * tone for level_db in levels_db])
    track = np.tile(track, (2, 1)).astype(np.float32)
    assert loudness_range(weighted_power(track, 48_000), 48_000) == pytest.approx(range_lu, abs=1)


def test_a_moment_has_no_fit():
    """Of half a second there is a peak, and nothing that takes longer to hear."""
    found = fit(0.5 * pulse(100)[:, : RATE // 2], RATE, scenes((), seconds=0.5))
    assert (found.cuts, found.bpm, found.lra_lu, found.on_cuts, found.follows) == (0, None, None, False, False)
    assert found.true_peak_db < 0
    nothing = fit(np.zeros((2, 9), np.float32), RATE, scenes((0.2,), seconds=0.5), hits_s=(0.2,))
    assert (nothing.on_beat, nothing.true_peak_db, nothing.hit_errors_s) == (0, None, (None,))


def test_what_a_row_holds_is_short_and_says_how_far_beyond_chance_a_track_fits():
    """Five of five on beats of 100 bpm, where chance gives a third, score two thirds; beside the cuts nothing scores."""
    told = fit(pulse(100), RATE, scenes(CUTS_S[100])).told
    assert abs(told.pop("curve")) < 0.3
    assert told.pop("lra_lu") < 1
    assert told.pop("score") == pytest.approx(2 / 3, abs=0.02)
    assert told == {"cuts": 5, "on_beat": 5, "chance": 0.33, "luck": 0.004}
    assert fit(pulse(100, 0.3), RATE, scenes(CUTS_S[100])).score == 0


def test_a_row_holds_how_late_each_hit_is_where_there_are_hits():
    """In their order, to a millisecond; null where nothing is heard."""
    hits = (Hit(at_s=5.0), Hit(at_s=12.0, kind="stop"), Hit(at_s=18.0))
    track = Track(index=0, samples=0.3 * clicks([5.05, 12.1], SECONDS, RATE), sample_rate=RATE)
    made = master(track, duration_s=SECONDS, loudness_lufs=-14, format="wav", tags={}, scenes=scenes(()), hits=hits)
    assert made.fit.told["hits"][:2] == pytest.approx([0.05, 0.1], abs=0.005)
    assert made.fit.told["hits"][2] is None
    assert len(json.dumps(fit(pulse(100), RATE, scenes(()), [20.123] * 32).told)) < 700


def test_a_mastered_track_says_how_it_fits_and_keeps_the_tempo_that_was_composed():
    """The film's scenes are met by what is heard; without them there is nothing to fit."""
    track = Track(index=0, samples=0.3 * pulse(100), sample_rate=RATE, bpm=99.5, key="D minor")
    made = master(track, duration_s=SECONDS, loudness_lufs=-14, format="wav", tags={}, scenes=scenes(CUTS_S[100]))
    assert (made.fit.on_beat, made.fit.on_cuts, made.fit.bpm) == (5, True, pytest.approx(100, abs=0.1))
    assert (made.bpm, made.key) == (99.5, "D minor")
    assert made.fit.loudness_lufs == pytest.approx(made.loudness_lufs, abs=0.1)
    assert made.fit.true_peak_db == pytest.approx(made.true_peak_db, abs=0.1)
    assert master(track, duration_s=SECONDS, loudness_lufs=-14, format="wav", tags={}).fit is None
