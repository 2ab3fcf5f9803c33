"""Consecutive frames of a film as the encoders see them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.engines.mmaudio import resize
from worker.engines.mmaudio.copies import on_device


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive frames at the encoders' sizes, uint8, each distinct frame once for CLIP."""

    clip: Tensor  # (F, 3, 384, 384)
    clip_repeats: Tensor  # (F,) int64
    sync: Tensor  # (G, 3, 224, 224), repeated already

    @classmethod
    def of(cls, raw: Tensor, repeats: Tensor) -> Chunk:
        """From raw frames (F, 3, H, W) uint8 and how often each is shown, (F, 2) int64 on the CPU."""
        to_clip, to_sync = ((repeats[:, i] > 0).nonzero()[:, 0] for i in range(2))
        shown = torch.arange(len(to_sync)).repeat_interleave(repeats[to_sync, 1])
        sync = resize.for_sync(raw[on_device(to_sync, raw.device)])[on_device(shown, raw.device)]
        return cls(resize.for_clip(raw[on_device(to_clip, raw.device)]), repeats[to_clip, 0], sync)

    def on(self, device: torch.device) -> Chunk:
        return Chunk(on_device(self.clip, device), self.clip_repeats, on_device(self.sync, device))
