"""Windows of the native length over a longer film, and how their velocities become one.

All windows of a step work on one global latent; where they overlap, one of them wins each frame anew at every step, by
raised-cosine ramps: an average of them would lose high frequencies. Where other words begin inside a window it goes through
the network once for each of them, and the same ramps say whose a frame is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from worker.engines.mmaudio.lengths import CLIP_FPS, SEGMENT_STRIDE, SYNC_FPS, AudioRate, clip_frames, sync_features

NATIVE_S = 8.0
"""What the checkpoints were trained on."""
SINGLE_S = 10.0
"""Up to this length one window, stretched a little, is better than two."""
HOP_SEGMENTS = 19
SEGMENT_S = SEGMENT_STRIDE / SYNC_FPS
"""Windows start on Synchformer's grid of 0.32 s, every 6.08 s."""


@dataclass(frozen=True)
class Windows:
    """K windows of the same length over N latents, with the slices of the features they look at."""

    latents: int
    length: int
    starts: tuple[int, ...]
    clip_starts: tuple[int, ...]
    clip_length: int
    sync_starts: tuple[int, ...]
    sync_length: int
    borders: tuple[int, ...] = ()
    """The latents at which other words begin."""
    stretches: tuple[int, ...] = ()
    """Which stretch between them each window is heard in."""
    fade: int = 1
    """Over how many latents one stretch gives way to the next."""

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def shares(self) -> Tensor:
        """How likely a window wins each latent frame, (K, N) float32: every column that one reaches sums to one."""
        edges = np.zeros((len(self), self.latents))
        starts, tents = list(dict.fromkeys(self.starts)), {}
        for k, start in enumerate(starts):
            tents[start] = tent = np.ones(self.length)
            if k > 0:
                _ramp(tent, starts[k - 1] + self.length - start)
            if k + 1 < len(starts):
                _ramp(tent[::-1], start + self.length - starts[k + 1])
        for k, start in enumerate(self.starts):
            edges[k, start : start + self.length] = tents[start]
        if self.borders:
            edges *= self.weights[list(self.stretches)]
        return torch.from_numpy((edges / np.maximum(edges.sum(axis=0), np.finfo(np.float64).tiny)).astype(np.float32))

    @cached_property
    def weights(self) -> npt.NDArray[np.float64]:
        """How much of each latent frame belongs to each stretch, (S, N): every column sums to one."""
        middles = np.arange(self.latents) + 0.5
        risen = np.clip((middles - np.array(self.borders)[:, None]) / self.fade + 0.5, 0, 1)
        shown = np.vstack([np.ones(self.latents), np.sin(np.pi / 2 * risen) ** 2, np.zeros(self.latents)])
        return shown[:-1] - shown[1:]

    def split(self, borders: Sequence[int], *, fade: int) -> Windows:
        """Each window once for every stretch between the `borders` (latents, ascending) that it reaches."""
        if not borders:
            return self
        parted = replace(self, borders=tuple(borders), fade=fade)
        pairs = [
            (k, stretch)
            for k, start in enumerate(self.starts)
            for stretch, weight in enumerate(parted.weights)
            if weight[start : start + self.length].any()
        ]
        return replace(parted.take([k for k, _ in pairs]), stretches=tuple(stretch for _, stretch in pairs))

    def reaching(self, first: int, last: int) -> list[int]:
        """Which of them see some of the latents from `first` to before `last`."""
        return [k for k, start in enumerate(self.starts) if start < last and first < start + self.length]

    def take(self, which: Sequence[int]) -> Windows:
        """Some of them, in their places over the same latents."""

        def some(each: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(each[k] for k in which) if each else ()

        return replace(
            self,
            starts=some(self.starts),
            clip_starts=some(self.clip_starts),
            sync_starts=some(self.sync_starts),
            stretches=some(self.stretches),
        )

    def winners(self, seed: int, steps: int) -> Tensor:
        """Which window owns each frame at each step, (steps, N) int64, drawn by the shares from the variant's seed."""
        draws = np.random.Generator(np.random.PCG64(seed)).random((steps, self.latents), dtype=np.float32)
        bounds = self.shares.cumsum(dim=0).numpy()
        won = (draws[:, None] >= bounds[None]).sum(axis=1)
        # Rounding of the bounds must not hand a frame to a window after the last that covers it.
        last = len(self) - 1 - (self.shares.numpy() > 0)[::-1].argmax(axis=0)
        return torch.from_numpy(np.minimum(won, last))


def _ramp(tent: np.ndarray[tuple[int], np.dtype[np.float64]], overlap: int) -> None:
    """Let the first `overlap` shares rise as a squared sine, in place; never zero."""
    rise = min(overlap, len(tent))
    tent[:rise] *= np.sin(np.pi / 2 * (np.arange(rise) + 0.5) / rise) ** 2


def single(duration_s: float, rate: AudioRate) -> Windows:
    """One window as long as the request: the plain sampler."""
    latents = rate.latents(duration_s)
    return Windows(latents, latents, (0,), (0,), clip_frames(duration_s), (0,), sync_features(duration_s))


def lay(duration_s: float, rate: AudioRate) -> Windows:
    """As many native windows as the duration needs; the last one is shifted left to end with the film."""
    if duration_s <= SINGLE_S:
        return single(duration_s, rate)
    latents, length = rate.latents(duration_s), rate.latents(NATIVE_S)
    clip_length, sync_length = clip_frames(NATIVE_S), sync_features(NATIVE_S)
    per_s = rate.latents_per_s
    hop_s = HOP_SEGMENTS * SEGMENT_S
    # Starts are rounded: less than half a latent beyond a hop is no window more, it would start where the one before it does.
    count = max(2, int(np.ceil((latents - length - 0.5) / (hop_s * per_s))) + 1)
    times = [k * hop_s for k in range(count - 1)] + [(latents - length) / per_s]
    segments = [min(round(t / SEGMENT_S), (sync_features(duration_s) - sync_length) // 8) for t in times]
    return Windows(
        latents,
        length,
        tuple(min(round(t * per_s), latents - length) for t in times),
        tuple(min(round(t * CLIP_FPS), clip_frames(duration_s) - clip_length) for t in times),
        clip_length,
        tuple(8 * m for m in segments),
        sync_length,
    )
