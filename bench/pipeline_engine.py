"""An engine that waits as long as the real one is meant to take, and takes the film's frames as the real one does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch

from worker.domain import Clip, Options, Samples, Track, Variant
from worker.engines.mmaudio.chunk import Chunk
from worker.engines.mmaudio.frames import Film
from worker.engines.mmaudio.predecoder import FramePredecoder
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


class Frames(Film):
    """On a GPU resizing frames is the GPU's work, so a corner of each stands for the whole."""

    def _chunk(self, pending: list[tuple[torch.Tensor, tuple[int, int]]]) -> Chunk:
        clip = [frame.numpy()[:224, :384] for frame, (shown, _) in pending if shown]
        sync = [frame.numpy()[:224, :224] for frame, (_, shown) in pending for _ in range(shown)]
        whole = np.zeros((len(clip), 3, 384, 384), np.uint8)
        for place, corner in zip(whole, clip, strict=True):
            place[:, :224] = corner.transpose(2, 0, 1)
        small = np.stack(sync).transpose(0, 3, 1, 2) if sync else np.zeros((0, 3, 224, 224), np.uint8)
        repeats = torch.tensor([shown for _, (shown, _) in pending if shown], dtype=torch.int64)
        return Chunk(torch.from_numpy(whole), repeats, torch.from_numpy(small))


class Predecoder(FramePredecoder):
    """Notes the processor's seconds of its threads."""

    spent_s = 0.0

    def film(self, clip: Clip) -> Film:
        return Frames(clip.path, clip.duration_s, torch.device("cpu"))

    def _predecode(self, clip: Clip, cancelled: Callable[[], bool]) -> None:
        before = time.thread_time()
        super()._predecode(clip, cancelled)
        self.spent_s += time.thread_time() - before


@dataclass(slots=True)
class WaitingEngine:
    """Implements `worker.ports.Engine`; every wait is `stretch` times as long."""

    stretch: float = 1.0
    stays: list[Stay] = field(default_factory=list)
    work: list[tuple[float, float]] = field(default_factory=list)
    """From when to when a GPU would have been busy."""
    name: str = "waiting"
    model: str = "0.45 s"

    def rest(self, busy: Callable[[], bool]) -> None:
        """Nothing."""

    def prepare(self, clip: Clip, options: Options, cancelled: Callable[[], bool]) -> None:
        start_s, cpu_s = time.monotonic(), time.thread_time()
        for _ in Frames(clip.path, clip.duration_s, torch.device("cpu")):
            if cancelled():
                raise Cancelled("cancelled")
        self._wait(clip, FILM_S)
        self._stay(clip, "prepare", start_s, cpu_s)

    def compose(
        self, clip: Clip, variants: Sequence[Variant], options: Options, cancelled: Callable[[], bool]
    ) -> Iterator[Track]:
        start_s, cpu_s = time.monotonic(), time.thread_time()
        self._wait(clip, STEPS_S)
        samples, lufs = music(clip.duration_s)
        for variant in variants:
            self._wait(clip, TRACK_S)
            yield Track(
                index=variant.index,
                samples=np.roll(samples, 4410 * variant.index, axis=1),
                sample_rate=RATE,
                loudness_lufs=lufs,
            )
        self._stay(clip, "compose", start_s, cpu_s)

    def _wait(self, clip: Clip, seconds: float) -> None:
        start_s = time.monotonic()
        time.sleep(seconds * self.stretch * clip.duration_s / OF_S)
        self.work.append((start_s, time.monotonic()))

    def _stay(self, clip: Clip, task: str, start_s: float, cpu_s: float) -> None:
        spent_s = time.thread_time() - cpu_s
        self.stays.append(Stay(clip.path.parent.name, task, start_s, time.monotonic(), spent_s))


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
