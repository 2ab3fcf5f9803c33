"""Where somebody speaks: heard in the film's own sound, by a child, and never in music."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from tests.conftest import FUZZ
from tests.unit.clips import track_of
from tests.unit.media import RATE
from tests.unit.test_merge_films import H264, ffmpeg
from tests.unit.test_merge_sounds import ambisonic
from tests.unit.voices import film_of, said, voice, write_wave
from worker.domain import Speech
from worker.errors import Rejected
from worker.pipeline.direct.vocabulary import GENRES
from worker.pipeline.look.child import Limits
from worker.pipeline.look.speech import ChildEar

NEAR_S = 0.15
"""What a detector may be off, and music may be lower than it needs to be."""
PINK = np.random.default_rng(5)


async def hear(path, limits: Limits | None = None) -> list[Speech]:
    return [speech async for speech in ChildEar(limits).hear(path)]


async def spans(path) -> list[tuple[float, float]]:
    return [(span.start_s, span.end_s) for span in (await hear(path))[-1].spans]


def noise(seconds: float, peak: float) -> np.ndarray:
    """Pink noise: as much power in every octave."""
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(PINK.standard_normal(count)) / np.sqrt(np.arange(1, count // 2 + 2))
    wave = np.fft.irfft(spectrum, count)
    return peak * wave / np.abs(wave).max()


def music(genre: str, seconds: float = 12.0, peak: float = 0.5) -> np.ndarray:
    """The beginning of a track of the sketch engine, (samples,) at 48 kHz."""
    track = track_of(genre)
    wave = track.samples.mean(axis=0)
    at = np.arange(round(seconds * RATE)) / RATE * track.sample_rate
    wave = np.interp(at, np.arange(len(wave)), wave)
    return peak * wave / np.abs(wave).max()


@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
async def test_words_are_found(tmp_path, language):
    """Where they begin and where they end; a pause between two sentences is none of speech."""
    words = voice("Hello there. Is anybody at home?", "-v", language)
    length_s = len(words) / RATE
    again_s = 1 + length_s + 2
    film = film_of(tmp_path / "a.mp4", said(again_s + length_s + 2, (1, words), (again_s, words)))
    found = await spans(film)
    assert np.array(found) == pytest.approx(np.array([(1, 1 + length_s), (again_s, again_s + length_s)]), abs=NEAR_S)


@pytest.mark.parametrize("behind", ["noise", "lo-fi", "cinematic"])
async def test_words_are_found_over_music_and_noise(tmp_path, behind):
    """As where there is nothing behind them."""
    words = voice()
    length_s = len(words) / RATE
    under = noise(12, 0.08) if behind == "noise" else music(behind, 12, 0.12)
    ((start_s, end_s),) = await spans(film_of(tmp_path / "a.mp4", under + said(12, (3, words))))
    assert (start_s, end_s) == pytest.approx((3, 3 + length_s), abs=2 * NEAR_S)


@pytest.mark.slow
async def test_music_and_noise_are_no_speech(tmp_path):
    """None of the genres that we play ourselves, nor noise, a tone or silence."""
    tone = 0.5 * np.sin(2 * np.pi * 220 * np.arange(4 * RATE) / RATE)
    waves = [*(music(genre, 12.0 if FUZZ > 1 else 4.0) for genre in GENRES), noise(6, 0.5), tone, np.zeros(2 * RATE)]
    assert len(GENRES) == 16
    heard = (await hear(film_of(tmp_path / "a.mp4", np.concatenate(waves))))[-1]
    assert heard.spans == ()
    assert heard.whole


async def test_words_that_are_sung_are_speech_and_held_vowels_are_none(tmp_path):
    """Words on a note each are one span; vowels with vibrato are music."""
    notes = [40, 55, 70, 62, 48, 80, 35, 60, 52]
    words = ["fly", "me", "to", "the", "moon", "among", "the", "bright", "stars"]
    sung = np.concatenate([voice(word, "-s", "90", "-p", str(note)) for word, note in zip(words, notes, strict=True)])
    vowels = np.concatenate([held(220 * 2 ** (step / 12), FORMANTS_HZ[step % 3]) for step in (0, 2, 4, 5, 7, 5, 4, 2)])
    ((start_s, end_s),) = await spans(
        film_of(tmp_path / "a.mp4", np.concatenate([np.zeros(3 * RATE), vowels, np.zeros(3 * RATE), sung]))
    )
    begin_s = 6 + len(vowels) / RATE
    assert (start_s, end_s) == pytest.approx((begin_s, begin_s + len(sung) / RATE), abs=2 * NEAR_S)


FORMANTS_HZ = ((800, 1150, 2900), (400, 1600, 2700), (325, 700, 2700))
"""Of an a, an e and an u."""


def held(hz: float, formants_hz: tuple[int, ...], seconds: float = 0.8) -> np.ndarray:
    """A vowel that is sung on a note, with vibrato: pulses of a glottis through the resonances of a mouth."""
    at_s = np.arange(round(seconds * RATE)) / RATE
    turns = np.cumsum(hz * (1 + 0.01 * np.sin(2 * np.pi * 5.5 * at_s))) / RATE
    wave = np.diff(np.floor(turns), prepend=0)
    for formant_hz in formants_hz:
        radius = np.exp(-np.pi * 90 / RATE)
        wave = lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * formant_hz / RATE), radius**2], wave)
    ends = np.minimum(1, np.minimum(at_s, seconds - at_s) / 0.08)
    return 0.4 * wave * ends / np.abs(wave).max()


async def test_a_film_without_sound_has_no_speech(tmp_path):
    """And that is known at once."""
    ffmpeg(f"-f lavfi -i testsrc2=s=96x64:r=25:d=3 {H264} {tmp_path / 'a.mp4'}")
    assert [(heard.spans, heard.heard_s, heard.film_s) for heard in await hear(tmp_path / "a.mp4")] == [
        ((), 0, 3), ((), 3, 3)
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", ["mkv", "ts", "mp4"])
async def test_times_count_from_the_first_frame(tmp_path, suffix):
    """A sound that begins late, in a container whose clock does too, is heard where it is."""
    words = voice()
    sound = write_wave(tmp_path / "a.wav", words)
    film = tmp_path / f"a.{suffix}"
    ffmpeg(
        f"-f lavfi -i testsrc2=s=96x64:r=25:d=9 -itsoffset 2.5 -i {sound} {H264} -c:a aac -output_ts_offset 7 -copyts {film}"
    )
    ((start_s, end_s),) = await spans(film)
    assert (start_s, end_s) == pytest.approx((2.5, 2.5 + len(words) / RATE), abs=NEAR_S)


@pytest.mark.parametrize("layout", ["mono", "5.1", "quad"])
async def test_words_in_many_channels_are_found(tmp_path, layout):
    """Wherever they come from."""
    words = voice()
    ffmpeg(
        f"-f lavfi -i testsrc2=s=96x64:r=25:d=9 -i {write_wave(tmp_path / 'a.wav', said(9, (2, words)))} {H264}",
        *("-c:a", "pcm_s16le", "-af", f"pan={layout}|c{2 if layout == '5.1' else 0}=c0", str(tmp_path / "a.mkv")),
    )
    ((start_s, _),) = await spans(tmp_path / "a.mkv")
    assert start_s == pytest.approx(2, abs=NEAR_S)


async def test_sounds_that_libav_does_not_fold_are_heard(tmp_path):
    """Ambisonics, say: there are only tones in it."""
    assert await spans(ambisonic(tmp_path / "a.mkv")) == []


async def test_a_sound_with_a_gap_keeps_its_times(tmp_path):
    """What is missing is silence, and what comes behind it is heard where it is."""
    words = voice("Hello there. Is anybody at home?")
    whole = film_of(tmp_path / "a.mkv", said(14, (1, words), (9, words)), "-c:a", "pcm_s16le")
    film = tmp_path / "gap.mkv"
    ffmpeg(f"-i {whole} -map 0 -c copy -bsf:a noise=drop=gt(pts*tb\\,4)*lt(pts*tb\\,8) {film}")
    found = await spans(film)
    assert [start_s for start_s, _ in found] == pytest.approx([1, 9], abs=NEAR_S)


@pytest.mark.parametrize("frames", [80, 100, 125])
async def test_words_may_end_with_the_film(tmp_path, frames):
    """Whatever its length is in milliseconds, which is rounded."""
    length_s = frames * 1001 / 30000
    sound = write_wave(tmp_path / "a.wav", said(length_s, (length_s - 2, voice())))
    film = tmp_path / "a.mp4"
    ffmpeg(f"-f lavfi -i testsrc2=s=96x64:r=30000/1001 -i {sound} -frames:v {frames} {H264} -c:a aac -shortest {film}")
    ((_, end_s),) = await spans(film)
    assert length_s - 0.001 < end_s <= length_s


async def test_a_long_film_is_heard_with_progress(tmp_path):
    """What is known is told about every minute, and before anything was heard."""
    words = voice()
    film = film_of(tmp_path / "a.mp4", said(122, (10, words), (100, words)))
    told = await hear(film)
    assert [round(heard.heard_s) for heard in told] == [0, 60, 120, 122]
    assert [len(heard.spans) for heard in told] == [0, 1, 2, 2]
    assert [heard.whole for heard in told] == [False, False, False, True]


@pytest.mark.slow
async def test_sound_is_heard_in_little_memory(tmp_path):
    """A minute of six channels at 192 kHz, 275 MB when decoded, in 160 MB."""
    tone = "-f lavfi -i sine=frequency=220:duration=60:sample_rate=192000"
    film = tmp_path / "a.mkv"
    ffmpeg(
        f"-f lavfi -i testsrc2=s=96x64:r=1:d=60 {tone} {H264} -af pan=5.1|c0=c0|c1=c0|c2=c0 -c:a flac -compression_level 0 {film}"
    )
    told = await hear(film, Limits(memory_bytes=160 * 2**20))
    assert told[-1].whole


async def test_what_is_no_film_is_refused(tmp_path):
    """In the decoder's words."""
    (tmp_path / "a.mp4").write_bytes(b"This is no film." * 99)
    with pytest.raises(Rejected) as caught:
        await hear(tmp_path / "a.mp4")
    assert caught.value.code == "not_a_video"
