"""Transformer blocks of the flow network: one attention over latent, clip and text tokens, or over latents alone."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worker.engines.mmaudio.layers import GatedMLP, Linear, Projection, TokenConv, product
from worker.engines.mmaudio.pointwise import PLAIN, Modulation, Pointwise, Stream, pointwise


class Tables(NamedTuple):
    """Rotary tables of a request, complex64: latent (N, C / 2) and clip (Nc, C / 2)."""

    latent: Tensor
    clip: Tensor


class AdaptiveNorm(nn.Sequential):
    """From a condition to shifts, scales and gates: `parts` vectors of the width. `Flow.fuse` stacks those of all blocks."""

    def __init__(self, width: int, parts: int) -> None:
        super().__init__(nn.SiLU(), Linear(width, parts * width))


ROOM = 16.0
"""By how much the hidden product of a feed-forward part is kept smaller in float16, which ends at 65,504.

The input is layer-normed, so neither factor gets past some hundreds; their product may, and up to a million it now fits.
A power of two: but for the smallest weights it costs no bit.
"""


@torch.no_grad()
def make_room(ffn: GatedMLP) -> None:
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
                make_room(self.ffn)
            self.ffn.to(torch.float16 if dtype is torch.bfloat16 else dtype)

    def before(self, stream: Stream, own: Modulation, table: Tensor | None, into: Tensor, at: int) -> Tensor:
        """Writes q, k, v of the stream into `into` from token `at` on; answers its settled tokens (B, N, D)."""
        width = stream.x.shape[-1]
        x, rows = self._way(stream.x.device).modulate(
            stream, own.part(0, width), own.part(1, width), own.place, self.attn.qkv.weight.dtype, 1
        )
        self.attn(rows, len(x), table, into, at)
        return x

    def after(self, x: Tensor, answer: Tensor, own: Modulation) -> Stream:
        """The stream after this block, of its tokens x (B, N, D) and the attention's answer (B, N, heads, C)."""
        way, width, batch = self._way(x.device), x.shape[-1], len(x)
        taps = 1 if self.linear1.weight.dim() == 3 else self.ffn.kernel
        delta = product(self.linear1, way.unfold(answer, taps), batch)
        x, rows = way.modulate(
            Stream(x, delta, own.part(2, width), own.place),
            own.part(3, width), own.part(4, width), own.place, self.ffn.dtype, self.ffn.taps,
        )  # fmt: skip
        return Stream(x, self.ffn.of_unfolded(rows, batch), own.part(5, width), own.place)

    def _way(self, device: torch.device) -> Pointwise:
        return pointwise(device) if self.attn.fused else PLAIN


def _answers(into: Tensor, asked: int) -> Tensor:
    """What the first `asked` tokens hear: q, k, v (3, B, M, heads, C) -> (B, asked, heads, C)."""
    q, k, v = into.transpose(2, 3)  # each (B, h, M, C)
    return F.scaled_dot_product_attention(q[:, :, :asked], k, v).transpose(1, 2)


class FusedBlock(Block):
    """Attention among latents alone."""

    def forward(self, stream: Stream, own: Modulation, table: Tensor) -> Stream:
        batch, length, _ = stream.x.shape
        into = self.attn.qkv.weight.new_empty(3, batch, length, self.attn.heads, self.attn.head_width)
        x = self.before(stream, own, table, into, 0)
        return self.after(x, _answers(into, length), own)


class JointBlock(nn.Module):
    """One attention over latents, clip and text; in the last one clip and text only lend keys and values."""

    def __init__(self, width: int, heads: int, *, last: bool) -> None:
        super().__init__()
        self.last = last
        self.latent_block = Block(width, heads, 3)
        self.clip_block = Block(width, heads, 3, only_keys=last)
        self.text_block = Block(width, heads, 1, only_keys=last)

    def forward(
        self, streams: tuple[Stream, Stream, Stream], own: tuple[Modulation, Modulation, Modulation], tables: Tables
    ) -> tuple[Stream, Stream, Stream]:
        """Latent, clip and text after this block, of (B, N, D), (B, Nc, D), (B, 77, D)."""
        attn = self.latent_block.attn
        lengths = [stream.x.shape[1] for stream in streams]
        into = attn.qkv.weight.new_empty(3, len(streams[0].x), sum(lengths), attn.heads, attn.head_width)
        blocks, ends = (self.latent_block, self.clip_block, self.text_block), [*accumulate(lengths)]
        settled = [
            block.before(stream, rows, table, into, end - length)
            for block, stream, rows, table, end, length in zip(
                blocks, streams, own, (*tables, None), ends, lengths, strict=True
            )
        ]
        answer = _answers(into, lengths[0] if self.last else ends[-1])
        latent, clip, text = (
            Stream(x) if self.last and i else block.after(x, answer[:, end - length : end], rows)
            for i, (block, x, rows, end, length) in enumerate(zip(blocks, settled, own, ends, lengths, strict=True))
        )
        return latent, clip, text


class FinalLayer(nn.Module):
    """From tokens to a velocity. It follows the global condition only, not the per-token one: so the weights were trained."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.adaLN_modulation = AdaptiveNorm(width, 2)
        self.conv = TokenConv(width, outputs, 7)

    def forward(self, stream: Stream, rows: Tensor) -> Tensor:
        """Tokens (B, N, D) after shift and scale, rows (B, 2D) -> (B, N, latent)."""
        fused, (shift, scale) = self.conv.weight.dim() == 2, rows.chunk(2, dim=-1)
        way, taps = (pointwise(rows.device), self.conv.kernel_size[0]) if fused else (PLAIN, 1)
        x, unfolded = way.modulate(stream, shift, scale, None, self.conv.weight.dtype, taps)
        return product(self.conv, unfolded, len(x))
