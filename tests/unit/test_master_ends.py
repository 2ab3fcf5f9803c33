"""Ends of tracks: what dies away by itself is left alone, all else fades, and what loops meets itself."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bench import seams
from tests.unit.test_master import RATE, decoded
from worker.domain import LOOP_S, Track
from worker.pipeline.finish.crossfade import alike, crossfade
from worker.pipeline.finish.loudness import integrated_lufs, true_peak
from worker.pipeline.finish.master import master


def take(*asked):
    """Wandering partials over noise, two channels: it changes everywhere a little and ends nowhere."""
    return _taken(*asked).copy()


@cache
def _taken(seconds, seed=1, rate=RATE):
    dice = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    wave = 0.02 * dice.standard_normal((2, len(t)))
    for hz in dice.uniform(100, 4000, 12):
        slow = np.interp(t, np.arange(int(seconds) + 2), dice.uniform(0.3, 1, int(seconds) + 2))
        wave += 0.05 * slow * np.sin(2 * np.pi * hz * t + dice.uniform(0, 6))
    return wave.astype(np.float32)


def made(samples, duration_s, *, loops=False, loop=False, format="wav", loudness_lufs=-14.0):
    track = Track(index=0, samples=samples, sample_rate=RATE, loops=loops, bpm=100, key="C major")
    return master(track, duration_s=duration_s, loudness_lufs=loudness_lufs, format=format, tags={}, loop=loop)


def gains(samples, duration_s):
    """What mastering turned each 10 ms by, beside the middle of the track."""
    wave, _ = decoded(made(samples, duration_s))
    length = RATE // 100
    level = [
        np.sqrt((one[:, : wave.shape[1]] ** 2).mean(axis=0).reshape(-1, length).mean(axis=1)) for one in (wave, samples)
    ]
    gain = level[0] / np.maximum(level[1], 1e-9)
    return gain / np.median(gain)


@pytest.mark.parametrize("ring_s", [0.2, 0.6, 1.2])
def test_what_dies_away_by_itself_is_left_to_it(ring_s):
    """A last chord that has rung out by the film's end, to 40 dB below the music, is turned down over the last 10 ms alone."""
    wave = take(8.0)
    dying = np.exp(-5 * (np.arange(wave.shape[1]) / RATE - (7.9 - ring_s)) / ring_s)
    wave *= np.clip(dying, 0.005, 1).astype(np.float32)
    gain = gains(wave, 8.0)
    assert gain[1:799] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("level", [1.0, 0.1, 0.03])
def test_what_is_cut_off_fades(level):
    """Music that goes on at the film's end, also very quietly, fades over 15 % of the track."""
    wave = take(8.0)
    wave[:, 7 * RATE :] *= level
    gain = gains(wave, 8.0)
    assert gain[1:680] == pytest.approx(1, abs=0.05)
    assert gain[740] == pytest.approx(0.5, abs=0.05)
    assert gain[-1] < 0.05


def test_a_track_that_is_too_short_fades_at_its_own_end():
    """Silence behind it does not hide that it was cut off."""
    wave = take(7.5)
    out, _ = decoded(made(wave, 8.0))
    assert not out[:, round(7.5 * RATE) :].any()
    assert np.abs(out[:, round(7.5 * RATE) - 200 : round(7.5 * RATE)]).max() < 0.01 * np.abs(out).max()


def wrapped(recording):
    """A mono track that goes round twice and a half, and where its ends meet, in seconds."""
    wave = decoded(recording)[0].mean(axis=0).astype(np.float64)
    seconds = len(wave) / RATE
    return np.concatenate([wave, wave, wave[: len(wave) // 2]]), [seconds, 2 * seconds]


@pytest.mark.parametrize("format", ["flac", "wav"])
@pytest.mark.parametrize("duration_s", [8.0, 12.345])
def test_a_longer_track_loops(format, duration_s):
    """Its end fades into its beginning: the seam meter hears nothing where they meet, and it is as long and as loud as asked for."""
    recording = made(take(duration_s + LOOP_S), duration_s, loop=True, format=format)
    wave, ends = wrapped(recording)
    assert seams.listen(wave, RATE, ends).heard == []
    assert recording.duration_s == round(duration_s * RATE) / RATE
    assert integrated_lufs(decoded(recording)[0], RATE) == pytest.approx(-14, abs=0.3)


def test_the_seam_meter_hears_what_does_not_loop():
    """The same music with an ending, or cut off, has a seam where it begins again."""
    ended, ends = wrapped(made(take(8.0 + LOOP_S), 8.0))
    assert seams.listen(ended, RATE, ends).heard
    cut, ends = wrapped(made(take(8.0), 8.0, loop=True))
    assert seams.listen(cut, RATE, ends).heard


def test_a_track_that_loops_already_is_taken_as_it_is():
    """No fade: its first and last samples are the engine's, at one gain."""
    t = np.arange(8 * RATE) / RATE
    wave = np.stack([0.2 * np.sin(2 * np.pi * 220 * t + 1)] * 2).astype(np.float32)
    recording = made(wave, 8.0, loops=True, loop=True, loudness_lufs=-23)
    out, _ = decoded(recording)
    assert np.abs(out - wave * 10 ** (recording.gain_db / 20)).max() < 3 / 32768
    jump = np.abs(np.diff(np.concatenate([out[0, -50:], out[0, :50]]))).max()
    assert jump <= np.abs(np.diff(out[0])).max() + 1e-6


@pytest.mark.parametrize("at_s", [0.0005, 0.004, 0.03, 7.9995, 7.996])
def test_the_limiter_does_not_break_a_loop(at_s):
    """A peak just before or behind the place where the ends meet is turned down on both sides of it."""
    wave = take(8.0)
    wave[:, round(at_s * RATE)] = 4.0
    recording = made(wave, 8.0, loops=True, loop=True)
    out, _ = decoded(recording)
    twice = np.concatenate([out, out], axis=1)
    assert 20 * np.log10(true_peak(twice, RATE)) <= -1.0
    near = slice(8 * RATE - RATE // 10, 8 * RATE + RATE // 10)
    gain = twice[:, near] / np.concatenate([wave, wave], axis=1)[:, near]
    clear = np.abs(np.concatenate([wave, wave], axis=1)[:, near]).min(axis=0) > 0.05
    heard = gain.mean(axis=0)[clear]
    places = np.flatnonzero(clear)
    slopes_db = np.abs(np.diff(20 * np.log10(heard)))[np.diff(places) < 20]
    assert slopes_db.max() < 0.8


@pytest.mark.parametrize("same", [0.0, 1.0])
def test_a_crossfade_keeps_the_power(same):
    """Of two takes, and of one take twice, the middle is as loud as the ends."""
    one, other = take(1.0, 1), take(1.0, 1 if same else 2)
    assert alike(one, other) == pytest.approx(same, abs=0.05)
    mixed = crossfade(one, other, alike(one, other))
    middle = slice(RATE // 2 - 2000, RATE // 2 + 2000)
    expected = (one[:, middle] ** 2).mean() / 2 + (other[:, middle] ** 2).mean() / 2
    assert (mixed[:, middle] ** 2).mean() == pytest.approx(expected, rel=0.15)
    assert np.array_equal(mixed[:, 0], one[:, 0])


@pytest.mark.parametrize(("level_db", "format"), [(-20, "flac"), (0, "wav"), (-6, "mp3"), (-10, "m4a")])
def test_the_gain_is_told(level_db, format):
    """What the raw track was raised by: undone, the finished one is the raw one, but for where the limiter was at work."""
    wave = 10 ** (level_db / 20) * take(6.0)
    recording = made(wave, 6.0, format=format)
    out, _ = decoded(recording)
    middle = slice(RATE, 4 * RATE)
    raised = np.sqrt((out[:, middle] ** 2).mean() / (wave[:, middle] ** 2).mean())
    assert recording.gain_db == pytest.approx(20 * np.log10(raised), abs=0.1)
    assert made(np.zeros((2, RATE), np.float32), 1.0).gain_db is None


@pytest.mark.parametrize("format", ["mp3", "m4a", "flac", "wav"])
def test_a_lossy_track_has_a_flac_of_what_was_encoded(format):
    """It holds each sample under the same ceiling; FLAC and WAV need none."""
    recording = made(take(4.0), 4.0, format=format)
    if format in {"flac", "wav"}:
        assert recording.master is None
        return
    kept, _ = decoded(replace(recording, data=recording.master))
    heard, _ = decoded(recording)
    assert kept.shape == (2, 4 * RATE)
    assert ((heard[:, : 4 * RATE] - kept) ** 2).mean() < 0.01 * (kept**2).mean()
    assert 20 * np.log10(true_peak(kept)) <= -2.0
