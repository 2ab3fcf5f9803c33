"""A short video made on the spot, for `rhythmai demo` and for tests: four scenes with cuts, motion and a soft sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

WIDTH, HEIGHT, FPS = 640, 360, 25
SAMPLE_RATE = 48_000

Plane = npt.NDArray[np.floating]
"""One value per pixel, (height, width); positions run 0..1 downwards and 0..16/9 to the right."""
Colour = tuple[Plane | float, Plane | float, Plane | float]


def make_sample(path: Path, seconds: float = 12) -> None:
    """Write an MP4 (H.264, 640 x 360, 25 frames a second; AAC) of `seconds`: a sunrise, a night sea, a city, a meadow."""
    scenes = (_sunrise, _night_sea, _city, _meadow)
    count = max(len(scenes), round(seconds * FPS))
    # Drawn at half size: the motifs are soft, and scaling up is cheaper than drawing.
    y, x = (axis.astype(np.float32) / (HEIGHT // 2) for axis in np.mgrid[0 : HEIGHT // 2, 0 : WIDTH // 2])
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=FPS, options={"preset": "superfast", "crf": "24"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for i in range(count):
            scene, progress = divmod(i * len(scenes) / count, 1)
            frame = _paint(scenes[int(scene)], x, y, progress)
            frame.pts = i
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        sound = AudioFrame.from_ndarray(_wind(count / FPS)[np.newaxis], format="fltp", layout="mono")
        sound.sample_rate, sound.pts = SAMPLE_RATE, 0
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


def _paint(scene: Callable[[Plane, Plane, float], Colour], x: Plane, y: Plane, progress: float) -> VideoFrame:
    picture: Plane = np.empty((*x.shape, 3), np.float32)
    for channel, plane in enumerate(scene(x, y, progress)):
        picture[:, :, channel] = plane
    drawn = VideoFrame.from_ndarray((picture.clip(0, 1) * 255).astype(np.uint8), format="rgb24")
    return drawn.reformat(width=WIDTH, height=HEIGHT, format="yuv420p", interpolation="BICUBIC")


def _disc(x: Plane, y: Plane, at_x: float, at_y: float, radius: float) -> Plane:
    """1 inside, 0 outside, with a soft rim."""
    disc: Plane = np.clip((radius - np.hypot(x - at_x, y - at_y)) / 0.02 + 0.5, 0, 1)
    return disc


def _sunrise(x: Plane, y: Plane, t: float) -> Colour:
    land = y > 0.75 + 0.05 * np.sin(4 * x)
    sun = np.where(land, 0, _disc(x, y, 0.9, 0.8 - 0.4 * t, 0.14))
    light = np.where(land, 0.25, 0.6 + 0.4 * t)
    return (0.75 + 0.2 * y + sun) * light, (0.25 + 0.45 * y + sun) * light, (0.35 - 0.25 * y + 0.3 * sun) * light


def _night_sea(x: Plane, y: Plane, t: float) -> Colour:
    moon = _disc(x, y, 1.3, 0.22, 0.08)
    waves = np.where(y > 0.55, 0.09 * np.sin(60 * y + 5 * np.sin(3 * x + 6 * t) + 20 * t), 0)
    return 0.03 + moon * 0.8 + waves * 0.3, 0.06 + moon * 0.8 + waves * 0.6, 0.2 + 0.12 * y + moon * 0.6 + waves


def _city(x: Plane, y: Plane, t: float) -> Colour:
    lights = 9 * x + 22 * t
    towers = 0.4 + 0.6 * (np.sin(17 * x + 30 * t) > 4 * y - 3)
    red, green, blue = ((0.55 + 0.45 * np.sin(lights + turn)) * towers for turn in (0.0, 2.1, 4.2))
    return red, green, blue


def _meadow(x: Plane, y: Plane, t: float) -> Colour:
    clouds = np.clip(np.sin(4 * x - 2 * t) * np.cos(9 * y) - 0.3, 0, 1)
    grass = y > 0.6 + 0.04 * np.sin(3 * x + 1)
    return (
        np.where(grass, 0.3 + 0.05 * np.sin(80 * x * y + 9 * t), 0.5 + 0.4 * clouds),
        np.where(grass, 0.65 + 0.05 * np.sin(80 * x * y + 9 * t), 0.75 + 0.2 * clouds),
        np.where(grass, 0.2, 0.95),
    )


def _wind(seconds: float) -> npt.NDArray[np.float32]:
    """Soft noise that swells and falls, (samples,)."""
    count = round(seconds * SAMPLE_RATE)
    noise = np.random.default_rng(1).standard_normal(count).astype(np.float32)
    soft = np.convolve(noise, np.hanning(64).astype(np.float32) / 32, "same")
    swell = 0.6 - 0.4 * np.cos(np.arange(count, dtype=np.float32) * (2 * np.pi / (4 * SAMPLE_RATE)))
    wind: npt.NDArray[np.float32] = (0.05 * soft * swell).astype(np.float32)
    return wind
