"""From noise to latents: Euler steps along the network's velocity, guided, all variants and windows in batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from worker.engines.device import out_of_memory
from worker.engines.mmaudio.batching import Batching
from worker.engines.mmaudio.copies import on_device
from worker.engines.mmaudio.evaluation import Batch, Evaluation, Rows
from worker.engines.mmaudio.flow import Conditions, Flow
from worker.engines.mmaudio.windows import Windows
from worker.errors import Cancelled

STEPS, GUIDANCE = 25, 4.5

AHEAD = 2
"""Steps the host may queue before the device has made them: enough to keep it busy, and a cancelled job ends within them."""

Velocity = Callable[[Evaluation, Tensor, Rows, Batch], Tensor]
"""How a velocity is evaluated: `Evaluation.velocity` itself, or its replay from a CUDA graph."""


def _event() -> torch.cuda.Event:
    """A place in the device's work that the host can wait for."""
    event = torch.cuda.Event(blocking=True)
    event.record()
    return event


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """How to integrate; the defaults are the reference."""

    steps: int = STEPS
    guidance: float = GUIDANCE
    interval: tuple[float, float] = (0.0, 1.0)
    """Guidance only while t is in it; outside only the conditional pass is evaluated."""

    def times(self) -> Tensor:
        """(steps + 1,) float32 from 0, noise, to 1, music."""
        return torch.linspace(0, 1, self.steps + 1)

    def guides(self, time: float) -> bool:
        """Whether the unconditional pass counts at this time; at strength 1 it cancels out, below it is switched off."""
        return self.guidance > 1 and self.interval[0] <= time <= self.interval[1]


class Held(NamedTuple):
    """Latents that are known already: noised as far as each step's, they go along for what is sampled beside them."""

    latents: Tensor  # (N, latent) float32, in the network's units
    where: Tensor  # (N, 1) bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What is to be sampled: V variants over K windows. Rows of `asked` go variant by variant, window by window."""

    seeds: Sequence[int]
    noise: Tensor  # (V, N, latent) float32
    windows: Windows
    asked: Conditions  # (V * K, ...)
    empty: Conditions  # (1, ...)
    silent: bool
    """The asked sync stream is the empty one."""
    held: Held | None = None


def noise(seeds: Sequence[int], latents: int, channels: int) -> Tensor:
    """(V, N, channels) float32, each variant's from its own seed on the CPU: the same wherever and with whomever it runs."""
    return torch.stack(
        [torch.randn(latents, channels, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    )


@dataclass(slots=True)
class _Chunk:
    """Some pairs of variant and window that go through the network together."""

    pairs: range
    batch: Batch
    global_condition: Tensor  # (T, C, D)
    rows: list[Rows] = field(default_factory=list)
    """The rows of every step, where they fit the budget."""


class EulerSolver:
    """One job's way from noise to latents."""

    def __init__(
        self,
        flow: Flow,
        prepared: Prepared,
        sampler: Sampler,
        velocity: Velocity = Evaluation.velocity,
        mark: Callable[[], torch.cuda.Event] | None = None,
    ) -> None:
        """`mark` notes how far the device has been asked to work; an event on a GPU, nothing on a CPU, which is never behind."""
        self._prepared, self._sampler, self._velocity = prepared, sampler, velocity
        self._device = flow.empty_clip_feat.device
        self._mark = mark or (_event if self._device.type == "cuda" else None)
        self._evaluation = Evaluation(flow, prepared.windows.length)
        self._times = sampler.times()
        self._x = self._noise = on_device(prepared.noise, self._device)
        self._held = prepared.held and Held(*(on_device(part, self._device) for part in prepared.held))
        self._winners: Tensor | None = None
        """(V, T, N), where windows overlap."""
        if len(prepared.windows) > 1:
            drawn = [prepared.windows.winners(seed, sampler.steps) for seed in prepared.seeds]
            self._winners = on_device(torch.stack(drawn), self._device)

    def __call__(self, batching: Batching, cancelled: Callable[[], bool]) -> Tensor:
        """The latents (V, N, latent), in the network's units.

        Raises Cancelled, or Unavailable when not even one window fits into memory.
        """
        chunks: dict[bool, list[_Chunk]] = {}
        step, ran_out = 0, False
        ahead: deque[torch.cuda.Event] = deque()
        while step < self._sampler.steps:
            if len(ahead) == AHEAD:
                ahead.popleft().synchronize()
            if cancelled():
                raise Cancelled("the job was cancelled while it was composed")
            guided = self._sampler.guides(float(self._times[step]))
            velocity = None
            try:
                if guided not in chunks:
                    chunks[guided] = list(self._chunks(batching, guided=guided))
                velocity = self._field(step, chunks[guided], cancelled)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
            if velocity is None:
                chunks.clear()
                batching.shrink(min(batching.size, len(self._x) * len(self._prepared.windows)), first=not ran_out)
                ran_out = True
                continue
            self._x = self._x + (self._times[step + 1] - self._times[step]) * velocity
            step += 1
            if self._held is not None:  # at time 1 the noise is gone, to the bit
                known = (1 - self._times[step]) * self._noise + self._times[step] * self._held.latents
                self._x = torch.where(self._held.where, known, self._x)
            if self._mark is not None:
                ahead.append(self._mark())
        batching.job_done()
        return self._x

    def _chunks(self, batching: Batching, *, guided: bool) -> Iterator[_Chunk]:
        prepared, pairs, size = self._prepared, len(self._x) * len(self._prepared.windows), batching.size
        empty = prepared.empty if guided else None
        for start in range(0, pairs, size):
            # The last chunk is filled up with its last pair: every pass has the same shape.
            some = range(start, min(start + size, pairs))
            filled = torch.arange(start, start + min(size, pairs), device=self._device).clamp_(max=some[-1])
            asked = prepared.asked.take(filled)
            batch = self._evaluation.batch(asked, empty, silent=prepared.silent)
            chunk = _Chunk(some, batch, self._evaluation.global_condition(self._times[:-1], asked, empty))
            if self._evaluation.rows_bytes(batch) * self._sampler.steps * -(-pairs // size) <= batching.rows_budget:
                chunk.rows = self._evaluation.rows(chunk.global_condition, batch).unbind()
            yield chunk

    def _field(self, step: int, chunks: list[_Chunk], cancelled: Callable[[], bool]) -> Tensor:
        """The velocity of every latent frame at one step: (V, N, latent)."""
        windows = self._prepared.windows
        if windows.length == windows.latents and len(windows) == 1 and len(chunks) == 1:
            return self._guided(step, chunks[0], self._x)
        total = torch.zeros_like(self._x)
        for chunk in chunks:
            if cancelled():
                raise Cancelled("the job was cancelled while it was composed")
            places = [divmod(pair, len(windows)) for pair in chunk.pairs]
            cut = [self._x[v, windows.starts[k] : windows.starts[k] + windows.length] for v, k in places]
            cut += [cut[-1]] * (len(chunk.batch.entries) // chunk.batch.copies - len(cut))
            for (v, k), own in zip(places, self._guided(step, chunk, torch.stack(cut)), strict=False):
                start, end = windows.starts[k], windows.starts[k] + windows.length
                won = 1 if self._winners is None else self._winners[v, step, start:end, None] == k
                total[v, start:end] += own * won
        return total

    def _guided(self, step: int, chunk: _Chunk, x: Tensor) -> Tensor:
        rows = chunk.rows[step] if chunk.rows else self._evaluation.rows(chunk.global_condition[step], chunk.batch)
        both = self._velocity(self._evaluation, x, rows, chunk.batch)
        if chunk.batch.copies == 1:
            return both
        asked, empty = both.chunk(2)
        strength = self._sampler.guidance
        return strength * asked + (1 - strength) * empty
