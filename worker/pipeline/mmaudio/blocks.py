"""Transformer blocks of the flow network: one attention over latent, clip and text tokens, or over latents alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from worker.pipeline.mmaudio.layers import (
    PLAIN,
    GatedMLP,
    Linear,
    Projection,
    TokenConv,
    attend,
    modulate,
    pointwise,
)


class Tables(NamedTuple):
    """Rotary tables of a request, complex64: latent (N, C / 2) and clip (Nc, C / 2)."""

    latent: Tensor
    clip: Tensor


class AdaptiveNorm(nn.Sequential):
    """From a condition to shifts, scales and gates: `parts` vectors of the width. Float32 also beside bfloat16 blocks."""

    def __init__(self, width: int, parts: int) -> None:
        super().__init__(nn.SiLU(), Linear(width, parts * width))
        self.width, self.parts = width, parts

    def from_activated(self, activated: Tensor) -> Tensor:
        """The rows for conditions that went through SiLU already: (..., D) -> (..., parts * D)."""
        return self[1](activated)


ROOM = 16.0
"""By how much the hidden product of a feed-forward part is kept smaller in float16, which ends at 65,504.

The input is layer-normed, so neither factor gets past some hundreds; their product may, and up to a million it now fits.
A power of two: but for the smallest weights it costs no bit.
"""


@torch.no_grad()
def _make_room(ffn: GatedMLP) -> None:
    """Move `ROOM` from the value's weights to those of the way out, in place: the same product, smaller in between."""
    value = ffn.get_parameter("w3.weight") if ffn.w13 is None else ffn.w13.chunk(2)[1]
    value.div_(ROOM)
    ffn.get_parameter("w2.weight").mul_(ROOM)


class Block(nn.Module):
    """One stream's half of a block: what goes into the attention, and what is made of its answer."""

    def __init__(self, width: int, heads: int, kernel: int, *, only_keys: bool = False) -> None:
        super().__init__()
        self.attn = Projection(width, heads, queries=not only_keys)
        self.adaLN_modulation = AdaptiveNorm(width, 2 if only_keys else 6)
        if not only_keys:
            self.linear1 = TokenConv(width, width, kernel) if kernel > 1 else Linear(width, width)
            self.ffn = GatedMLP(width, kernel)

    def to_precision(self, dtype: torch.dtype) -> None:
        """Cast what multiplies tokens.

        Nearly all of bfloat16's error comes from the feed-forward part: beside bfloat16 it is float16, three bits finer at
        the same cost.
        """
        for name in ("attn", "linear1"):
            if hasattr(self, name):
                getattr(self, name).to(dtype)
        if hasattr(self, "ffn"):
            if dtype is torch.bfloat16:
                _make_room(self.ffn)
            self.ffn.to(torch.float16 if dtype is torch.bfloat16 else dtype)

    def before(self, x: Tensor, rows: Tensor, table: Tensor | None) -> tuple[Tensor | None, Tensor, Tensor]:
        """q, k, v of the stream x (B, N, D); rows (B, N or 1, 6D or 2D) are its shifts, scales and gates."""
        width = x.shape[-1]
        dtype = self.attn.qkv.weight.dtype
        q, k, v = self.attn(self._modulate(x, rows[..., :width], rows[..., width : 2 * width], dtype), table)
        return q, k, v

    def after(self, x: Tensor, answer: Tensor, rows: Tensor) -> Tensor:
        _, _, gate1, shift2, scale2, gate2 = rows.chunk(6, dim=-1)
        x = torch.addcmul(x, self.linear1(answer), gate1)
        dtype = self.ffn.get_parameter("w2.weight").dtype
        return torch.addcmul(x, self.ffn(self._modulate(x, shift2, scale2, dtype)), gate2)

    def _modulate(self, x: Tensor, shift: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
        """In the precision of the products to come, by one kernel once fused."""
        way = pointwise(x.device) if self.attn.fused else PLAIN
        return way.modulate(x, shift, scale, dtype)


class FusedBlock(Block):
    """Attention among latents alone."""

    def forward(self, x: Tensor, rows: Tensor, table: Tensor) -> Tensor:
        q, k, v = self.before(x, rows, table)
        assert q is not None
        return self.after(x, attend(q, k, v), rows)


class JointBlock(nn.Module):
    """One attention over latents, clip and text; in the last one clip and text only lend keys and values."""

    def __init__(self, width: int, heads: int, *, last: bool) -> None:
        super().__init__()
        self.last = last
        self.latent_block = Block(width, heads, 3)
        self.clip_block = Block(width, heads, 3, only_keys=last)
        self.text_block = Block(width, heads, 1, only_keys=last)

    def forward(
        self, latent: Tensor, clip: Tensor, text: Tensor, rows: tuple[Tensor, Tensor, Tensor], tables: Tables
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The three streams (B, N, D), (B, Nc, D), (B, 77, D) after this block."""
        streams = (
            self.latent_block.before(latent, rows[0], tables.latent),
            self.clip_block.before(clip, rows[1], tables.clip),
            self.text_block.before(text, rows[2], None),
        )
        k, v = torch.cat([s[1] for s in streams], dim=2), torch.cat([s[2] for s in streams], dim=2)
        asked = [s[0] for s in streams[: 1 if self.last else 3]]
        answer = attend(torch.cat([q for q in asked if q is not None], dim=2), k, v)
        lengths = [latent.shape[1], clip.shape[1], text.shape[1]]
        if self.last:
            return self.latent_block.after(latent, answer, rows[0]), clip, text
        of_latent, of_clip, of_text = answer.split(lengths, dim=1)
        return (
            self.latent_block.after(latent, of_latent, rows[0]),
            self.clip_block.after(clip, of_clip, rows[1]),
            self.text_block.after(text, of_text, rows[2]),
        )


class FinalLayer(nn.Module):
    """From tokens to a velocity. It follows the global condition only, not the per-token one: so the weights were trained."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.adaLN_modulation = AdaptiveNorm(width, 2)
        self.conv = TokenConv(width, outputs, 7)

    def forward(self, x: Tensor, rows: Tensor) -> Tensor:  # (B, N, D) -> (B, N, latent)
        shift, scale = rows.chunk(2, dim=-1)
        return self.conv(modulate(x, shift, scale))
