"""What the sections share: the device, sizes, a loaded model, and jobs that go through the engine's public face."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from engine_ours import film
from gpu_clock import event_s, wall_s

from tests.engine import generated
from tests.engine.tiny import TINY
from worker.domain import Clip, Direction, Options, Track, Variant
from worker.engines.mmaudio import engine as engine_module
from worker.engines.mmaudio import loading
from worker.engines.mmaudio.engine import MMAudioEngine
from worker.engines.mmaudio.models import MODELS, Model
from worker.engines.mmaudio.runtime import Parts, Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    model: Model
    device: str
    seconds: float = 8.0
    steps: int = 25
    variants: int = 3
    repeats: int = 5
    turns: int = 3
    """Of our way and the reference way, which takes seconds: it has only the first of them."""
    product: int = 8192
    copied: int = 2**32
    """Bytes of the copy that tells the memory's speed."""
    parity: tuple[str, ...] = (
        "full/net_large*",
        "full/e2e*",
        "full/bigvgan44k",
        "full/vae_44k",
        "full/synchformer",
        "full/clip",
        "full/net_small*",
        "full/bigvgan16k",
        "full/vae_16k",
    )
    """The most important first."""
    lengths: tuple[float, ...] = (8.0, 1.0)
    """Of the distances, in seconds."""
    films: tuple[float, ...] = (7.3, 30.0)
    captured: tuple[float, ...] = (8.0, 7.3, 5.2, 9.6, 30.0)
    alternating: tuple[float, ...] = (8.0, 7.3, 5.2, 9.6)
    alternating_s: float = 58.0
    margins_mb: tuple[int, ...] = (3000, 1000, 400, 100)
    """What is left to a job that runs out of memory."""


REAL = Sizes(model=MODELS["large_44k_v2"], device="cuda")
REHEARSAL = Sizes(
    model=TINY,
    device="cpu",
    seconds=0.8,
    steps=2,
    variants=2,
    repeats=1,
    turns=1,
    product=128,
    copied=2**20,
    parity=("tiny/vae_44k", "tiny/bigvgan44k", "tiny/net_v1"),
    lengths=(0.8, 0.7),
    films=(1.1, 0.7),
    captured=(0.8, 0.7),
    alternating=(0.8, 0.7),
    alternating_s=2.0,
    margins_mb=(2, 1),
)


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What the device does at most: bytes read and written a second, and products in bfloat16."""

    copy_gb_s: float
    tflops: float


@contextmanager
def tensor_cores(*, allowed: bool) -> Iterator[None]:
    """For products in float32, which they round to eleven bits."""
    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [flag.allow_tf32 for flag in flags]
    try:
        for flag in flags:
            flag.allow_tf32 = allowed
        yield
    finally:
        for flag, was in zip(flags, before, strict=True):
            flag.allow_tf32 = was


class Stand:
    """Built once a process; what takes long is made when it is first asked for."""

    def __init__(self, sizes: Sizes, out: Path, tell: Callable[[dict[str, object]], None]) -> None:
        self.sizes, self.out, self._tell = sizes, out, tell
        self.device, self.model = torch.device(sizes.device), sizes.model
        self.on_gpu = self.device.type == "cuda"
        self.dtype = torch.bfloat16 if self.on_gpu else torch.float32
        self._jobs = 0
        if self.on_gpu:
            torch.cuda.set_device(0)
        else:
            torch.set_num_threads(1)

    def note(self, **facts: object) -> None:
        """Facts of the section that runs; told at once, so that a late section loses only what it had not reached."""
        self._tell(facts)

    def answers(self) -> bool:
        """Whether the device still works."""
        try:
            wall_s(self.device, lambda: torch.ones(1, device=self.device).item())
        except RuntimeError:
            return False
        return True

    @cached_property
    def ceilings(self) -> Ceilings:
        from gpu_device import product_tflops

        a, b = (torch.empty(self.sizes.copied // 2, dtype=torch.uint8, device=self.device) for _ in range(2))
        a.random_()
        copied_s = event_s(self.device, lambda: b.copy_(a))
        return Ceilings(self.sizes.copied / copied_s / 1e9, product_tflops(self, torch.bfloat16))

    def parts(self, model: Model | None = None) -> Parts:
        """Generated weights on the device already, where fusing and casting take no time."""
        made = generated.parts(model or self.model)
        for part in made.all():
            part.to(self.device)
        return made

    @cached_property
    def runtime(self) -> Runtime:
        made = loading.runtime(self.model, self.parts(), self.device)
        made.tokenize = generated.tokens
        return made

    @cached_property
    def engine(self) -> MMAudioEngine:
        """The engine itself, shown frames from memory: there is no decoder here."""
        return MMAudioEngine(self.runtime)

    def load(self) -> tuple[bool, str]:
        """The section in front of all that need the model."""
        built_s = wall_s(self.device, lambda: self.runtime)
        self.note(model=self.model.name, built_s=built_s, **self.memory())
        warmed_s = 0.0
        for seconds in engine_module.USUAL_S if self.on_gpu else ():
            took_s = wall_s(self.device, lambda: self.engine.warm([seconds]))  # noqa: B023
            warmed_s += took_s
            self.note(**{f"warmed_{seconds:g}_s": took_s})
        self.note(warmed_s=warmed_s, **{f"{name}_warm": value for name, value in self.memory().items()})
        return True, f"{self.model.name} built in {built_s:.1f} s, warm after {warmed_s:.1f} s more"

    def rest(self) -> float:
        """What the worker does between jobs: the shapes that came for the first time are captured. Seconds."""
        return wall_s(self.device, lambda: self.engine.rest(lambda: False))

    def memory(self) -> dict[str, float]:
        """Of the device, and of this process on the host, in MB."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return {
            "allocated_mb": torch.cuda.memory_allocated() / 1e6 if self.on_gpu else 0.0,
            "reserved_mb": torch.cuda.memory_reserved() / 1e6 if self.on_gpu else 0.0,
            "host_mb": pages * mmap.PAGESIZE / 1e6,
        }

    def held_mb(self) -> float:
        """What the device keeps for this process once everything free was given back."""
        if self.on_gpu:
            torch.cuda.empty_cache()
        return self.memory()["reserved_mb"]

    def timed_job(
        self,
        seconds: float,
        digest: str | None = None,
        seed: int | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        engine: MMAudioEngine | None = None,
    ) -> list[tuple[Track, float]]:
        """A whole job, each track with the seconds after which it was there; another `digest` is another film, another seed has other captions too.

        Both are new unless given. Raises ValueError when a track is silent or not finite.
        """
        self._jobs += 1
        seed = 1000 * self._jobs if seed is None else seed
        clip = Clip(
            path=Path(), digest=digest or f"film {self._jobs}", duration_s=seconds, width=1, height=1, fps=30,
            has_audio=False, scenes=(), stills=(),
        )  # fmt: skip
        variants = [_variant(i, seed + i) for i in range(self.sizes.variants)]
        options, engine = Options(steps=self.sizes.steps), engine or self.engine
        viewer = engine.prepare(clip, options, cancelled)
        stretches = film(seconds) if viewer is not None else []
        started = time.perf_counter()
        if viewer is not None:
            for stretch in stretches:
                viewer.see(stretch)
            viewer.end()
        tracks = engine.compose(clip, variants, options, cancelled)
        made = [(track, time.perf_counter() - started) for track in tracks]
        for track, _ in made:
            if not np.isfinite(track.samples).all() or not track.samples.any():
                raise ValueError(f"track {track.index} of {seconds} s is silent or not finite")
        return made

    def job(self, *asked: Any, **more: Any) -> list[Track]:
        """The same without the seconds."""
        return [track for track, _ in self.timed_job(*asked, **more)]


def _variant(index: int, seed: int) -> Variant:
    prompt = f"calm piano, number {seed}"
    direction = Direction(
        title="", prompt=prompt, description="", genre="", instruments=(), tempo_bpm=80.0, key="", mood=""
    )
    return Variant(index=index, seed=seed, direction=direction)


def apart(ours: list[Track], theirs: list[Track]) -> float:
    """The largest relative distance, ||a - b|| / ||b||, of tracks of two jobs."""
    pairs = zip(ours, theirs, strict=True)
    return max(float(np.linalg.norm(a.samples - b.samples) / np.linalg.norm(b.samples)) for a, b in pairs)
