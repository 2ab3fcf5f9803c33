"""Loudness under the ceiling: as asked for, as it is heard in the file, and limited where peaks stand out."""

import numpy as np
import pyloudnorm
import pytest

from tests.unit.test_master import RATE, decoded, made, music
from worker.pipeline.finish.loudness import (
    integrated_lufs,
    limiting,
    lufs,
    peak_curve,
    true_peak,
    turned,
    weighted_power,
)


@pytest.mark.parametrize(
    ("level", "loudness_lufs", "format"),
    [(level, -14, "flac") for level in (0.01, 0.05, 0.9, 30.0)]
    + [(0.2, aim, "flac") for aim in (-30, -23, -16, -14, -12)]
    + [(0.2, aim, lossy) for aim in (-23, -16, -14) for lossy in ("mp3", "m4a")],
)
def test_a_track_is_as_loud_as_asked_for(level, loudness_lufs, format):
    """Quiet and far too loud ones alike, also decoded from a lossy file, with no peak over -1 dBTP between its samples."""
    recording = made(music(6.0, level=level), 6.0, loudness_lufs=loudness_lufs, format=format)
    wave, _ = decoded(recording)
    assert integrated_lufs(wave, RATE) == pytest.approx(loudness_lufs, abs=0.3)
    assert recording.loudness_lufs == pytest.approx(loudness_lufs, abs=0.3)
    assert recording.true_peak_db <= (-1.0 if format == "flac" else -2.0)
    assert 20 * np.log10(true_peak(wave)) <= -1.0


@pytest.mark.parametrize(("format", "ceiling_db"), [("wav", -1), ("mp3", -2), ("m4a", -2)])
def test_lossy_files_have_a_lower_ceiling(format, ceiling_db):
    """What goes into them peaks under -2 dBTP, so that what is decoded stays under -1."""
    recording = made(peaky(), 6.0, format=format)
    assert ceiling_db - 0.5 < recording.true_peak_db <= ceiling_db
    assert 20 * np.log10(true_peak(decoded(recording)[0])) <= -1.0


@pytest.mark.parametrize("limited_db", [1, 4])
def test_sharp_peaks_are_limited_and_the_rest_is_not_turned_down(limited_db):
    """A few clicks over music do not cost the music its loudness."""
    wave = music(6.0, level=0.05)
    aim = 10 ** ((-14 - integrated_lufs(wave, RATE)) / 20)
    wave[:, RATE::RATE] = 10 ** ((limited_db - 1) / 20) / aim
    out, _ = decoded(made(wave, 6.0))
    assert integrated_lufs(out, RATE) == pytest.approx(-14, abs=0.3)
    assert 20 * np.log10(true_peak(out)) <= -1.0


def peaky(seconds=6.0, click=0.9):
    """A bed of noise with eight clicks a second."""
    wave = click / 200 * np.random.default_rng(5).standard_normal((2, int(seconds * RATE)))
    wave[:, :: RATE // 8] = click
    return wave.astype(np.float32)


@pytest.mark.parametrize(
    ("wave", "duration_s"), [(peaky(), 6.0), (peaky(click=5.0), 6.0), (peaky(1.0, click=5.0), 1.0)]
)
def test_the_limiter_takes_six_decibels_at_most(wave, duration_s):
    """Where peaks stand out further the rest stays quieter than the target, and the recording says how loud it is."""
    recording = made(wave, duration_s)
    out, _ = decoded(recording)
    begin, end = 3 * RATE // 8 - 1200, 3 * RATE // 8 - 300  # between two clicks the limiter holds still
    bed = out[:, begin:end].std() / wave[:, begin:end].std()
    click = np.abs(out[:, 2 * RATE // 8 - 20 : 2 * RATE // 8 + 20]).max() / np.abs(wave).max()
    assert 5 < 20 * np.log10(bed / click) < 7
    assert recording.loudness_lufs == pytest.approx(integrated_lufs(out, RATE), abs=0.1)
    assert recording.loudness_lufs < -15
    assert recording.true_peak_db == pytest.approx(20 * np.log10(true_peak(out)), abs=0.05)
    assert recording.true_peak_db <= -1.0


def test_what_is_nearly_silent_is_not_raised_without_end():
    """30 dB are the most; the recording says what came of it."""
    recording = made(music(6.0, level=0.0005), 6.0)
    assert recording.loudness_lufs == pytest.approx(integrated_lufs(music(6.0, level=0.0005), RATE) + 30, abs=0.2)
    assert recording.true_peak_db < -3


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
@pytest.mark.parametrize("seconds", [0.4, 0.68, 3.05, 6.07])
def test_the_loudness_is_that_of_pyloudnorm(rate, seconds):
    """Gates, steps and the last, short block included, to many digits."""
    wave = music(seconds, rate) * np.linspace(0.01, 1, int(seconds * rate), dtype=np.float32)
    wave = np.pad(wave, ((0, 0), (0, 1)))  # pyloudnorm wants one sample more than a block
    expected = pyloudnorm.Meter(rate).integrated_loudness(wave.T.astype(np.float64))
    assert integrated_lufs(wave, rate) == pytest.approx(expected, abs=1e-9)


def test_peaks_between_samples_are_seen():
    """A sine at a quarter of the rate, sampled beside its crests, peaks 3 dB higher than any of its samples."""
    t = np.arange(RATE)
    wave = np.sin(np.pi / 2 * t + np.pi / 4)[None, :].astype(np.float32)
    assert np.abs(wave).max() == pytest.approx(0.7071, abs=1e-3)
    assert true_peak(wave[:, :-100] * np.hanning(RATE)[:-100].astype(np.float32)) == pytest.approx(1.0, abs=0.02)


def test_the_limiter_never_passes_its_ceiling():
    """Whatever the noise, no sample of the limited wave is over the ceiling, and what was under it long before is untouched."""
    rng = np.random.default_rng(3)
    wave = rng.standard_normal((2, RATE)).astype(np.float32) * 0.1
    wave[:, 30000:30100] *= 40
    out = turned(wave, limiting(peak_curve(wave, RATE), 0.5), RATE)
    assert np.abs(out).max() <= 0.5 + 1e-6
    assert np.array_equal(out[:, :25000], wave[:, :25000])


def test_the_limiter_holds_between_its_milliseconds():
    """Single peaks anywhere in a millisecond, also at its edges, are under the ceiling: the gain's lines pass below them."""
    wave = np.full((1, RATE), 0.01, np.float32)
    wave[0, 500::977] = 5.0
    wave[0, 43 :: 44 * 50] = -3.0
    out = turned(wave, limiting(peak_curve(wave, RATE), 0.5), RATE)
    assert np.abs(out).max() <= 0.5 + 1e-6
    assert np.abs(out).max() > 0.4


@pytest.mark.parametrize("raised", [1.0, 6.0])
def test_the_estimate_is_the_loudness_to_a_hair(raised):
    """What decides the gain agrees with the full measurement, limiter and all."""
    samples = music(6.0)
    gain = np.float32(raised) * limiting(np.float32(raised) * peak_curve(samples, RATE), 0.5)
    measured_lufs = integrated_lufs(turned(samples, gain, RATE), RATE)
    assert lufs(weighted_power(samples, RATE) * gain**2, RATE) == pytest.approx(measured_lufs, abs=0.1)


def test_short_tracks_keep_their_level_under_the_ceiling():
    """Under three seconds a programme loudness means nothing: only peaks are held."""
    quiet, _ = decoded(made(music(1.0, level=0.01), 1.0))
    assert np.abs(quiet).max() < 0.06
    loud, _ = decoded(made(music(1.0, level=5.0), 1.0))
    assert 20 * np.log10(true_peak(loud)) <= -1.0
