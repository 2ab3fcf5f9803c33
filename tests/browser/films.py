"""Films and tracks whose sound says what time it is."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

RATE = 48_000
FPS = 10
FILM_S = 6


def clicks(seconds: float, at: tuple[float, ...]) -> np.ndarray:
    """Bursts of 5 ms at these times, (samples,)."""
    sound = np.zeros(round(seconds * RATE), np.float32)
    burst = 0.5 * np.sin(2 * np.pi * 2000 * np.arange(RATE // 200) / RATE).astype(np.float32)
    for time in at:
        start = round(time * RATE)
        sound[start : start + len(burst)] = burst[: len(sound) - start]
    return sound


def write_film(path: Path, sound: np.ndarray, layout: str, *, seconds: float, picture: str = "libx264") -> None:
    """An MP4 of plain grey, with that sound (channels, samples)."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        video = container.add_stream(picture, rate=FPS, options={"preset": "ultrafast"} if picture == "libx264" else {})
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout=layout, options={"aac_coder": "fast"})
        audio.bit_rate = 256_000
        for i in range(round(seconds * FPS)):
            level = 60 + 60 * (i // FPS % 3)
            frame = VideoFrame.from_ndarray(np.full((270, 320), level, np.uint8), format="yuv420p")
            frame.pts = i
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        heard = AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="fltp", layout=layout)
        heard.sample_rate, heard.pts = RATE, 0
        container.mux(audio.encode(heard))
        container.mux(audio.encode(None))


def write_wav(path: Path, sound: np.ndarray) -> None:
    """(channels, samples), 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(sound))
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound.T * 32767).clip(-32768, 32767).astype("<i2").tobytes())


TIMES = tuple(0.2 + np.random.default_rng(4).uniform(0.3, 0.7, 55).cumsum())
"""Of the clicks, in the film's left and in the track's right channel; four of them are nowhere else at the same distances."""


def click_film(path: Path) -> None:
    sound = clicks(30, TIMES)
    write_film(path, np.stack([sound, np.zeros_like(sound)]), "stereo", seconds=30)


def click_track(path: Path) -> None:
    sound = clicks(30, TIMES)
    write_wav(path, np.stack([np.zeros_like(sound), sound]))


def as_m4a(path: Path) -> None:
    """The same beside it, in AAC, as players of a track get it."""
    with av.open(str(path)) as given, av.open(str(path.with_suffix(".m4a")), "w", format="ipod") as made:
        stream = made.add_stream("aac", rate=RATE, layout="stereo")
        stream.bit_rate = 192_000
        resampler = av.AudioResampler("fltp", "stereo", RATE)
        for frame in given.decode(audio=0):
            for part in resampler.resample(frame):
                made.mux(stream.encode(part))
        made.mux(stream.encode(None))


def film(path: Path, seconds: float = FILM_S, picture: str = "libx264") -> None:
    time = np.arange(round(seconds * RATE)) / RATE
    tone = (0.1 * np.sin(2 * np.pi * 110 * time))[np.newaxis].astype(np.float32)
    write_film(path, tone, "mono", seconds=seconds, picture=picture)


def wav(path: Path, tone_hz: float, seconds: float = FILM_S) -> None:
    time = np.arange(round(seconds * RATE)) / RATE
    write_wav(path, (0.3 * np.sin(2 * np.pi * tone_hz * time))[np.newaxis].astype(np.float32))
