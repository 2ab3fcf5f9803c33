"""An engine that waits as long as the real one is meant to take, for every stretch of a film and for the tracks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from worker.domain import MIT, Clip, Frames, Licence, Options, Samples, Track, Variant, View
from worker.engines.mmaudio.features import VIEWS
from worker.errors import Cancelled
from worker.pipeline.finish.loudness import integrated_lufs

RATE = 44_100
FILM_S, STEPS_S, TRACK_S = 0.20, 0.19, 0.02
"""Of the goal on an H200: 0.45 s for a film of 8 s and three variants. The film's part, all steps, and one track."""
OF_S = 8.0


def takes_s(film_s: float) -> float:
    """How long the engine is meant to work for three variants."""
    return (FILM_S + STEPS_S + 3 * TRACK_S) * film_s / OF_S


@dataclass(frozen=True, slots=True)
class Stay:
    """Once in the engine: whose job, what for, from when to when, and the processor's seconds of the engine's thread."""

    job: str
    task: str
    start_s: float
    end_s: float
    cpu_s: float


@dataclass(slots=True)
class WaitingEngine:
    """Implements `worker.ports.Engine`; every wait is `stretch` times as long."""

    stretch: float = 1.0
    stays: list[Stay] = field(default_factory=list)
    work: list[tuple[float, float]] = field(default_factory=list)
    """From when to when a GPU would have been busy."""
    name: str = "waiting"
    model: str = "0.45 s"
    kernels: str = "none"
    licence: Licence = MIT
    ignores: frozenset[str] = frozenset()

    def rest(self, busy: Callable[[], bool]) -> None:
        """Nothing."""

    @property
    def frames(self) -> tuple[View, ...]:
        return VIEWS

    def prepare(self, clip: Clip, options: Options, cancelled: Callable[[], bool]) -> Watching:
        return Watching(self, clip, cancelled)

    def compose(
        self, clip: Clip, variants: Sequence[Variant], options: Options, cancelled: Callable[[], bool]
    ) -> Iterator[Track]:
        start_s, cpu_s = time.monotonic(), time.thread_time()
        self.wait(STEPS_S, clip.duration_s)
        samples, lufs = music(clip.duration_s)
        for variant in variants:
            self.wait(TRACK_S, clip.duration_s)
            yield Track(
                index=variant.index,
                samples=np.roll(samples, 4410 * variant.index, axis=1),
                sample_rate=RATE,
                loudness_lufs=lufs,
            )
        self.stay(clip, "compose", start_s, cpu_s)

    def wait(self, seconds: float, film_s: float) -> None:
        start_s = time.monotonic()
        time.sleep(seconds * self.stretch * film_s / OF_S)
        self.work.append((start_s, time.monotonic()))

    def stay(self, clip: Clip, task: str, start_s: float, cpu_s: float) -> None:
        spent_s = time.thread_time() - cpu_s
        self.stays.append(Stay(clip.path.parent.name, task, start_s, time.monotonic(), spent_s))


@dataclass(frozen=True, slots=True)
class Watching:
    """Implements `worker.ports.Viewer`."""

    engine: WaitingEngine
    clip: Clip
    cancelled: Callable[[], bool]

    def see(self, frames: Frames) -> None:
        if self.cancelled():
            raise Cancelled("cancelled")
        start_s, cpu_s = time.monotonic(), time.thread_time()
        self.engine.wait(FILM_S, int(frames[0].repeats.sum()) / VIEWS[0].fps)
        self.engine.stay(self.clip, "prepare", start_s, cpu_s)

    def end(self) -> None:
        """Nothing."""


@lru_cache
def music(duration_s: float) -> tuple[Samples, float]:
    """Chords with a pulse and some noise, (1, samples) as MMAudio gives them (up to two hops too long), and their loudness."""
    count = round(duration_s * RATE) + 600
    t = np.arange(count) / RATE
    rng = np.random.default_rng(1)
    wave = 0.02 * rng.standard_normal(count)
    for hz in (110, 220, 277.2, 329.6, 440, 1318):
        wave += 30 / (hz + 100) * np.sin(2 * np.pi * hz * t * (1 + 0.0005 * np.sin(t)))
    wave *= 0.3 + np.exp(-5 * (t % 0.5))
    wave += 0.5 * rng.standard_normal(count) * np.exp(-40 * ((t + 0.25) % 0.5))
    samples = (0.4 * wave / np.abs(wave).max())[np.newaxis].astype(np.float32)
    return samples, integrated_lufs(samples, RATE)
