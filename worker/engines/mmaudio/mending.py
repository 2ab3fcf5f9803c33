"""What was kept of a track of which one part is made anew."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

from worker.domain import Clip, Part, Span
from worker.engines.mmaudio.models import Model
from worker.errors import Rejected


class Kept(NamedTuple):
    """Latents of a whole track, of which those from `first` to before `last` are not held."""

    latents: Tensor  # (N, latent) float32 on the CPU, in the VAE's units
    first: int
    last: int
    mended: Span

    @classmethod
    def of(cls, part: Part, clip: Clip, latents: int, model: Model) -> Self:
        """`latents` is how many frames the track has. The part grows to whole frames. Raises Rejected (cannot_mend)."""
        instead = "make the whole track again"
        if part.latents is None:
            raise Rejected(
                f"Of this track nothing was kept that a part could go on from: {instead}", code="cannot_mend"
            )
        expected = latents, model.flow.latent
        if part.latents.shape != expected:
            found, wanted = (" x ".join(map(str, shape)) for shape in (part.latents.shape, expected))
            raise Rejected(
                f"What was kept of this track does not fit its film and {model.name} ({found} instead of {wanted} latents): {instead}",
                code="cannot_mend",
            )
        per_s = model.rate.latents_per_s
        first, last = math.floor(part.start_s * per_s), min(math.ceil(part.end_s * per_s), latents)
        if not 0 <= first < last:
            raise Rejected(
                f"There is no part from {part.start_s:.2f} s to {part.end_s:.2f} s in a track of {clip.duration_s:.2f} s: "
                f"choose one inside it, or {instead}",
                code="cannot_mend",
            )
        end_s = clip.duration_s if last == latents else min(last / per_s, clip.duration_s)
        return cls(torch.from_numpy(part.latents).float(), first, last, Span(start_s=first / per_s, end_s=end_s))

    @property
    def held(self) -> Tensor:
        """Where, (N, 1) bool."""
        frames = torch.arange(len(self.latents))[:, None]
        return (frames < self.first) | (frames >= self.last)

    def pasted(self, made: Tensor) -> Tensor:
        """What was made, (N, latent), with what was kept where it is held: to the bit, whatever units it went through."""
        return torch.where(self.held.to(made.device), self.latents.to(made.device), made)
