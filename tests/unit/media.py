"""Test media, made with PyAV when they are needed: good files, and the raw material of bad ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 48_000
RED, GREEN, BLUE, BLACK, WHITE, GREY = (
    (220, 30, 20),
    (30, 200, 40),
    (20, 40, 220),
    (0, 0, 0),
    (255, 255, 255),
    (128, 128, 128),
)
CONTAINERS = {
    "mp4": ("libx264", "aac"),
    "mov": ("libx264", "aac"),
    "mkv": ("libx264", "aac"),
    "webm": ("libvpx", "libopus"),
    "avi": ("libx264", "mp3"),
    "ts": ("libx264", "aac"),
    "flv": ("libx264", "aac"),
}
"""A usual pair of codecs for each container."""


@lru_cache(maxsize=4)
def gradient(colour: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
    """A colour that becomes brighter to the right, (height, width, 3)."""
    width, height = size
    shade = np.linspace(0.7, 1.0, width)[np.newaxis, :, np.newaxis]
    return np.broadcast_to(shade * np.array(colour, float), (height, width, 3)).astype(np.uint8)


def picture(colour: Sequence[int], at: int, size: tuple[int, int]) -> np.ndarray:
    """A gradient in one colour with a small square that moves on every frame."""
    width, height = size
    image = gradient(tuple(colour), size).copy()
    side = max(2, height // 8)
    left = at * 3 % max(1, width - side)
    image[height // 2 : height // 2 + side, left : left + side] = 255 - np.array(colour, np.uint8)
    return image


def write_video(
    path: Path,
    scenes: Sequence[tuple[Sequence[int], float]] = ((RED, 0.4), (BLUE, 0.6)),
    *,
    size: tuple[int, int] = (96, 64),
    fps: int = 25,
    sound: bool = True,
    sound_s: float | None = None,
    codec: str | None = None,
    rotation: int = 0,
    options: dict[str, str] | None = None,
    muxer: str | None = None,
    file: Any = None,
) -> Path:
    """Write scenes of (colour, seconds) into the container of the path's suffix, with a tone when `sound`."""
    suffix = path.suffix[1:]
    video_codec, audio_codec = CONTAINERS[suffix]
    muxer = muxer or {"mkv": "matroska", "ts": "mpegts"}.get(suffix, suffix)
    with av.open(file or str(path), "w", format=muxer, options=options or {}) as container:
        codec = codec or video_codec
        fast = {"libx264": {"preset": "ultrafast", "bf": "0" if suffix in {"avi", "flv"} else "2"}}
        fast["libx265"] = {"preset": "ultrafast", "x265-params": "log-level=none"}
        fast["libvpx"] = fast["libvpx-vp9"] = {"deadline": "realtime", "cpu-used": "8"}
        video = container.add_stream(codec, rate=fps, options=fast.get(codec, {}))
        video.width, video.height, video.pix_fmt = *size, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if rotation:
            video.set_display_rotation(rotation)
        audio = container.add_stream(audio_codec, rate=RATE, layout="mono") if sound else None
        count = 0
        for colour, seconds in scenes:
            for _ in range(round(seconds * fps)):
                frame = av.VideoFrame.from_ndarray(picture(colour, count, size), format="rgb24")
                frame.pts = count
                container.mux(video.encode(frame))
                count += 1
        container.mux(video.encode(None))
        if audio is not None:
            _write_tone(container, audio, sound_s or count / fps)
    return path


def write_sound(path: Path, seconds: float, *, codec: str | None = None, hz: float = 440) -> Path:
    """Write a tone into flac, wav, mp3 or m4a."""
    codec = codec or {"wav": "pcm_s16le", "m4a": "aac", "ogg": "libopus"}.get(path.suffix[1:], path.suffix[1:])
    muxer = {"m4a": "mp4"}.get(path.suffix[1:], path.suffix[1:])
    with av.open(str(path), "w", format=muxer) as container:
        _write_tone(container, container.add_stream(codec, rate=RATE, layout="mono"), seconds, hz)
    return path


def _write_tone(container: Any, stream: Any, seconds: float, hz: float = 440) -> None:
    samples = (0.3 * np.sin(np.arange(round(seconds * RATE)) * 2 * np.pi * hz / RATE)).astype(np.float32)
    tone = av.AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
    tone.sample_rate, tone.pts, tone.time_base = RATE, 0, Fraction(1, RATE)
    container.mux(stream.encode(tone))
    container.mux(stream.encode(None))


def read_sound(path: Path) -> np.ndarray:
    """Decode the first sound stream to (samples,), mono."""
    with av.open(str(path)) as container:
        pieces = [frame.to_ndarray().mean(0) for frame in container.decode(audio=0)]
    return np.concatenate(pieces)


def mutate(data: bytes, dice: random.Random) -> bytes:
    """Damage a file in one of the ways files get damaged, or made to do damage."""
    damaged = bytearray(data)
    start = dice.randrange(len(damaged))
    length = dice.randint(1, max(1, len(damaged) // 8))
    match dice.randrange(7):
        case 0:
            del damaged[start:]
        case 1:
            del damaged[start : start + length]
        case 2:
            damaged[start : start + length] = bytes(length)
        case 3:
            damaged[start:start] = damaged[start : start + length]
        case 4:  # a length or a count, made huge or negative
            start = dice.randrange(min(len(damaged), 2048))
            damaged[start : start + 4] = dice.choice(
                [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\0"]
            )
        case 5:
            for _ in range(dice.randint(1, 200)):
                damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        case _:  # in the headers, where most decisions are made
            for _ in range(dice.randint(1, 8)):
                damaged[dice.randrange(min(len(damaged), 1024))] ^= 1 << dice.randrange(8)
    return bytes(damaged)
