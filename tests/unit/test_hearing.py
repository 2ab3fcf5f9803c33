"""Hearing: clicks have beats, chords have a key, silence and noise have neither."""

import numpy as np
import pytest

from tests.unit.clips import clip, direction
from worker.domain import Options, Track, Variant
from worker.engines.sketch import SketchEngine
from worker.pipeline.finish.hearing import Heard, hear
from worker.pipeline.finish.master import master

RATE = 44100


def clicks(times_s, seconds, rate):
    """Short bursts of noise, each under 20 ms, (2, n)."""
    rng, wave, length = np.random.default_rng(1), np.zeros((2, int(seconds * rate)), np.float32), rate // 50
    for time_s in times_s:
        place = round(time_s * rate)
        wave[:, place : place + length] += 0.5 * rng.standard_normal(length) * np.exp(-np.arange(length) / rate / 0.005)
    return wave


def chord(*hz, seconds=6.0):
    """Steady tones, (2, n)."""
    t = np.arange(int(seconds * RATE)) / RATE
    return np.tile(sum(0.1 * np.sin(2 * np.pi * one * t) for one in hz), (2, 1)).astype(np.float32)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("bpm", [100, 120])
def test_clicks_are_tapped_along_within_two_milliseconds(bpm, rate):
    """Each click is a beat, none is missed or invented, and the tempo is theirs."""
    times_s = np.arange(0.137, 19.9, 60 / bpm)
    heard = hear(clicks(times_s, 20, rate), rate)
    assert heard.bpm == pytest.approx(bpm, abs=0.1)
    assert heard.key is None
    assert len(heard.beats_s) == len(times_s)
    assert np.abs(np.array(heard.beats_s) - times_s).max() < 0.002


def test_beats_follow_a_tempo_that_bends():
    """A pulse that slows down by four percent half way is followed."""
    times_s = np.concatenate([0.3 + np.arange(20) * 0.5, 10.3 + np.arange(18) * 0.52])
    heard = hear(clicks(times_s, 20, RATE), RATE)
    assert np.abs(np.array(heard.beats_s)[:, None] - times_s).min(axis=1).max() < 0.005
    assert len(heard.beats_s) >= len(times_s) - 1


def noise(colour, seconds):
    white = np.random.default_rng(2).standard_normal((2, int(seconds * RATE)))
    spectrum = (
        np.fft.rfft(white)
        / np.maximum(np.arange(white.shape[1] // 2 + 1), 1) ** {"white": 0, "pink": 0.5, "brown": 1}[colour]
    )
    wave = np.fft.irfft(spectrum, white.shape[1])
    return (0.2 * wave / np.abs(wave).max()).astype(np.float32)


@pytest.mark.parametrize("seconds", [3.5, 12])
@pytest.mark.parametrize("colour", ["white", "pink", "brown"])
def test_noise_has_no_beats_and_no_key(colour, seconds):
    """What hisses, rushes or rumbles is not called music."""
    assert hear(noise(colour, seconds), RATE) == Heard()


@pytest.mark.parametrize(
    "wave", [np.zeros((2, 4 * RATE)), np.zeros((2, 0)), chord(440, seconds=2), chord(440), chord(440, 880, 1320)]
)
def test_silence_moments_and_a_lone_tone_say_nothing(wave):
    """No beat, no tempo, no key: not even of a loud tone with its octave and fifth."""
    assert hear(wave, RATE) == Heard()


@pytest.mark.parametrize(
    ("key", "hz"),
    [
        ("C major", (261.6, 329.6, 392.0, 523.3, 349.2, 440.0, 493.9)),
        ("A minor", (220.0, 261.6, 329.6, 440.0, 246.9, 293.7)),
        ("F# major", (185.0, 233.1, 277.2, 370.0)),
    ],
)
def test_chords_have_the_key_of_their_notes(key, hz):
    """Scales and triads are named by their tonic and mode, as we write keys."""
    assert hear(chord(*hz), RATE).key == key


def test_tempo_and_key_of_a_track_are_heard_where_the_engine_does_not_know_them():
    """The composer's own score and what is heard of it agree; what an engine knows is not overruled."""
    film, wanted = clip(16.0), direction("pop", tempo_bpm=100, key="Eb major")
    (track,) = SketchEngine().compose(film, [Variant(index=0, seed=1, direction=wanted)], Options(), lambda: False)
    blank = Track(index=0, samples=track.samples, sample_rate=track.sample_rate)
    heard = master(blank, duration_s=16, loudness_lufs=-14, format="flac", tags={})
    assert heard.bpm == pytest.approx(track.bpm, rel=0.02)
    assert heard.key == "Eb major"
    told = master(
        Track(index=0, samples=track.samples, sample_rate=track.sample_rate, bpm=7.0, key="B minor"),
        duration_s=12,
        loudness_lufs=-14,
        format="flac",
        tags={},
    )
    assert (told.bpm, told.key) == (7.0, "B minor")


def test_what_cannot_be_heard_is_not_told():
    """Noise of an engine that does not know tempo and key has neither in its result."""
    recording = master(
        Track(index=0, samples=noise("pink", 4), sample_rate=RATE),
        duration_s=4,
        loudness_lufs=-14,
        format="flac",
        tags={},
    )
    assert (recording.bpm, recording.key) == (None, None)
