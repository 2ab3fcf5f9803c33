"""How long everything is: latents, CLIP frames and sync features of a request, from its duration alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

CLIP_FPS = 8
SYNC_FPS = 25
SEGMENT_FRAMES = 16
"""Frames in one Synchformer segment; segments start every 8 frames and give 8 features each."""
SEGMENT_STRIDE = 8
SHORTEST_S = 0.64
"""Below one whole Synchformer segment there is nothing the network could follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioRate:
    """An audio format of the checkpoints: samples a second, samples a mel frame."""

    sample_rate: int
    hop: int

    @property
    def latents_per_s(self) -> float:
        return self.sample_rate / self.hop / 2

    def latents(self, duration_s: float) -> int:
        """Latent frames; one latent is two mel frames. Left to right in float64, as the checkpoints were trained."""
        return math.ceil(duration_s * self.sample_rate / self.hop / 2)


RATE_16K = AudioRate(sample_rate=16_000, hop=256)
RATE_44K = AudioRate(sample_rate=44_100, hop=512)


def covered_s(duration_s: float, slots: Sequence[int]) -> float:
    """What is left of a duration where frames fill so many slots of each clock: of 8 s at 25 fps 199, and 7.96 s are left."""
    return min(duration_s, *(count / fps for count, fps in zip(slots, (CLIP_FPS, SYNC_FPS), strict=True)))


def clip_frames(duration_s: float) -> int:
    return int(duration_s * CLIP_FPS)


def sync_features(duration_s: float) -> int:
    """Eight features for each 16-frame segment at stride 8; zero or less below 0.64 s."""
    segments = (duration_s * SYNC_FPS - SEGMENT_FRAMES) // SEGMENT_STRIDE + 1
    return int(segments * SEGMENT_FRAMES / 2)


def nearest_exact(source: int, target: int) -> Tensor:
    """Indices (target,) int64 that stretch `source` rows to `target`, nearest-exact.

    The ratio and the product are rounded to float32 on purpose: the exact ratio picks other rows for one duration in
    twelve, and the checkpoints were trained with these.
    """
    import torch  # whoever asks for models alone does without

    ratio = torch.tensor(float(source), dtype=torch.float32) / torch.tensor(float(target), dtype=torch.float32)
    middles = torch.arange(target, dtype=torch.float32) + 0.5
    return (middles * ratio).floor().to(torch.int64).clamp_(max=source - 1)
