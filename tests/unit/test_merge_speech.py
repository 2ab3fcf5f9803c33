"""A merge is a formula: the film's own sound times 1, and music times its gain times the envelope of what is said."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from scipy.signal import fftconvolve

from tests.unit.media import RATE
from tests.unit.test_merge import loudness
from tests.unit.test_speech import hear, music, noise
from tests.unit.voices import film_of, said, voice, write_wave
from worker.domain import Options, Span
from worker.pipeline.finish.envelope import points
from worker.pipeline.finish.merge import FfmpegMerger

LENGTH_S = 12.0
WORDS_S = (1.0, 7.0)
HZ = 15_000
"""Of a music that no voice of espeak-ng reaches."""


async def mix(
    film: Path, track: np.ndarray, speech: tuple[Span, ...], layout: str = "mono", **options: object
) -> np.ndarray:
    """The sound of the merge, (2, samples)."""
    into = film.parent / "into"
    into.mkdir(exist_ok=True)
    sound = write_wave(film.parent / "music.wav", track, layout)
    asked = Options(**{"mode": "mix", "duck": True} | options)
    merged = await FfmpegMerger().merge(film, sound, into, asked, speech)
    with av.open(str(merged.file)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def level_db(wave: np.ndarray, width_s: float = 0.02) -> np.ndarray:
    """Of each stretch of 20 ms."""
    width = round(width_s * RATE)
    count = len(wave) // width
    return 10 * np.log10(np.square(wave[: count * width].reshape(count, width)).mean(axis=1) + 1e-12)


def strength_db(wave: np.ndarray, hz: float, amplitude: float) -> np.ndarray:
    """How strong a tone is at each moment, against its amplitude: (samples,)."""
    width = RATE // 100
    window = np.hanning(width) / np.hanning(width).sum()
    turned = wave * np.exp(-2j * np.pi * hz / RATE * np.arange(len(wave)))
    return 20 * np.log10(2 * np.abs(fftconvolve(turned, window, "same")) / amplitude + 1e-9)


def dull(wave: np.ndarray) -> np.ndarray:
    """The same without what is near the tone by which the music is measured."""
    spectrum = np.fft.rfft(wave)
    spectrum[np.fft.rfftfreq(len(wave), 1 / RATE) > HZ - 3000] = 0
    return np.fft.irfft(spectrum, len(wave))


def tone(amplitude: float, seconds: float = LENGTH_S, hz: float = HZ) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)


def levels_db(speech: tuple[Span, ...], duck_db: float, times_s: np.ndarray) -> np.ndarray:
    return np.interp(times_s, *zip(*points(speech, duck_db, LENGTH_S), strict=True))


@pytest.mark.parametrize("behind", ["noise", "lo-fi", "silence"])
async def test_a_mix_is_what_the_formula_says(tmp_path, behind):
    """In a film in which somebody speaks twice over something else, within half a decibel all the time.

    A tone follows what is said, and is 8 dB lower at least wherever somebody speaks; original and music together are right
    stretch by stretch of 20 ms, in both channels.
    """
    under = {
        "noise": lambda: noise(LENGTH_S, 0.05), "lo-fi": lambda: music("lo-fi", LENGTH_S, 0.05), "silence": lambda: 0
    }[behind]()  # fmt: skip
    words = voice(peak=0.3)
    original = dull(under + said(LENGTH_S, *((at_s, words) for at_s in WORDS_S)))
    film = film_of(tmp_path / "a.mkv", original, "-c:a", "pcm_f32le")
    speech = (await hear(film))[-1].spans
    assert len(speech) == len(WORDS_S)
    times_s = np.arange(round(LENGTH_S * RATE)) / RATE
    inside = (times_s > 0.02) & (times_s < LENGTH_S - 0.02)
    for asked, duck_db, gain_db in (({}, -10, 0.0), ({"duck_db": -20.0}, -20, -3.0)):
        sound = await mix(film, tone(0.1), speech, music_gain_db=gain_db, **asked)
        found = strength_db(sound[0][: len(times_s)], HZ, 0.1)
        assert np.abs(found - gain_db - levels_db(speech, duck_db, times_s))[inside].max() < 0.5
        for span in speech:
            said_now = (times_s > span.start_s) & (times_s < span.end_s)
            assert found[said_now].max() < gain_db - 8
    # Cinematic music begins with a chord at its full level, of whose first 20 ms AAC alone loses half a decibel.
    track = music("folk", LENGTH_S, 0.1)
    sound = await mix(film, track, speech, music_gain_db=3.0)
    levels = level_db(original + track * 10 ** ((3 + levels_db(speech, -10, times_s)) / 20))
    for channel in sound:
        found = level_db(channel[: len(times_s)])
        heard = (levels > -55) & (found > -70)
        assert heard.mean() > 0.5
        assert np.abs(found - levels)[heard].max() < 0.5


@pytest.mark.parametrize("genre", ["funk", "rock"])
async def test_music_in_the_film_does_not_duck(tmp_path, genre):
    """However loud it is."""
    film = film_of(tmp_path / "a.mkv", dull(music(genre, LENGTH_S, 0.5)), "-c:a", "pcm_f32le")
    heard = (await hear(film))[-1]
    found = strength_db((await mix(film, tone(0.1), heard.spans))[0], HZ, 0.1)
    inside = found[RATE // 50 : round((LENGTH_S - 0.02) * RATE)]
    assert np.abs(inside).max() < 0.5


async def test_speech_without_duck_changes_nothing(tmp_path):
    """And neither does it where the film's own sound is not heard."""
    film = film_of(tmp_path / "a.mkv", said(4, (1, voice())), "-c:a", "pcm_f32le")
    speech = (Span(start_s=1, end_s=3),)
    for options in ({"duck": False}, {"mode": "replace"}):
        found = strength_db((await mix(film, tone(0.1, 4), speech, **options))[0], HZ, 0.1)
        assert np.abs(found[RATE // 50 : round(3.98 * RATE)]).max() < 0.5


MATRIX = {
    "mono": ((1,), (1,)),
    "stereo": ((1, 0), (0, 1)),
    "quad": ((0.5, 0, 0.5, 0), (0, 0.5, 0, 0.5)),
    "3.0": ((1, 0, 0.7071), (0, 1, 0.7071)),
    "5.0": ((1, 0, 0.7071, 0.7071, 0), (0, 1, 0.7071, 0, 0.7071)),
    "5.1": ((1, 0, 0.7071, 0, 0.7071, 0), (0, 1, 0.7071, 0, 0, 0.7071)),
    "7.1": ((1, 0, 0.7071, 0, 0.7071, 0, 0.7071, 0), (0, 1, 0.7071, 0, 0, 0.7071, 0, 0.7071)),
}
"""Web Audio's, and for what it has none of the same places: to left and right."""


@pytest.mark.parametrize("layout", MATRIX)
@pytest.mark.parametrize("role", ["film", "music"])
async def test_channels_are_mixed_down_as_web_audio_does(tmp_path, layout, role):
    """Mono goes to both channels at unity; the sound of a film and music alike."""
    tones = [500.0 + 400 * number for number in range(len(MATRIX[layout][0]))]
    wave = np.stack([tone(0.1, 1, hz) for hz in tones])
    quiet = np.zeros(RATE)
    film, track = ((wave, layout), (quiet, "mono"))[:: 1 if role == "film" else -1]
    video = film_of(tmp_path / "a.mov", film[0], "-c:a", "pcm_f32le", layout=film[1])
    sound = await mix(video, track[0], (), track[1])
    for channel, gains in zip(sound, MATRIX[layout], strict=True):
        found = [loudness(channel, 0.1, 0.9, hz) / 0.1 for hz in tones]
        assert found == pytest.approx(gains, abs=0.01)
