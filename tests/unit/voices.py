"""Voices for tests: words as espeak-ng says them, and films in which they are heard."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import av
import numpy as np

from tests.unit.media import RATE
from tests.unit.test_merge_films import H264, ffmpeg

SENTENCE = "This is a film about the sea, and about the people who live by the shore."
LOUD = 0.02
"""Of full scale: what is over it is heard."""


def voice(text: str = SENTENCE, *more: str, peak: float = 0.5) -> np.ndarray:
    """What is said, (samples,) at 48 kHz, without the silence around it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "voice.wav"
        subprocess.run(["espeak-ng", *more, "-w", file, text], check=True)
        resampler = av.AudioResampler("flt", "mono", RATE)
        with av.open(str(file)) as container:
            frames = [*container.decode(audio=0), None]
            wave = np.concatenate([made.to_ndarray()[0] for frame in frames for made in resampler.resample(frame)])
    wave *= peak / np.abs(wave).max()
    heard = np.flatnonzero(np.abs(wave) > LOUD * peak)
    return wave[heard[0] : heard[-1] + 1]


def said(seconds: float, *at: tuple[float, np.ndarray]) -> np.ndarray:
    """Waves put at their times, (samples,)."""
    whole = np.zeros(round(seconds * RATE), np.float32)
    for start_s, wave in at:
        first = round(start_s * RATE)
        whole[first : first + len(wave)] += wave[: len(whole) - first]
    return whole


def write_wave(file: Path, wave: np.ndarray, layout: str = "mono") -> Path:
    """(samples,) or (channels, samples) as WAV in 32 bits."""
    wave = np.atleast_2d(wave).astype("<f4")
    raw = file.with_suffix(".f32")
    wave.T.tofile(raw)
    ffmpeg(f"-f f32le -ar {RATE} -ch_layout {layout} -i {raw} -c:a pcm_f32le {file}")
    raw.unlink()
    return file


def film_of(file: Path, wave: np.ndarray, *more: str, layout: str = "mono") -> Path:
    """A test card for as long as the wave, which is its sound."""
    wave = np.atleast_2d(wave).astype("<f4")
    raw = file.with_suffix(".f32")
    wave.T.tofile(raw)
    picture, sound = f"testsrc2=s=96x64:r=10:d={wave.shape[1] / RATE}", f"-f f32le -ar {RATE} -ch_layout {layout}"
    ffmpeg(f"-f lavfi -i {picture} {sound} -i {raw} {H264}", *(more or ("-c:a", "aac")), str(file))
    raw.unlink()
    return file
