"""What lies between the products of the networks: each in plain PyTorch, and the choice of one kernel for each on a GPU.

What goes into a convolution is written unfolded at once, one row a token with its neighbours side by side: nothing is
padded or copied between the products.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from worker.engines.mmaudio.choice import fused_or_plain

EPSILON_F32 = torch.finfo(torch.float32).eps
"""Of the q and k normalisation."""


class Modulation(NamedTuple):
    """Shifts, scales and gates side by side, and which row of them each token follows.

    rows (R, parts * D); place (B * N,) the row of each token, or None: batch entry b follows row b.
    """

    rows: Tensor
    place: Tensor | None

    def part(self, i: int, width: int) -> Tensor:
        """(R, D): 0 and 1 are shift and scale before the attention, 2 the gate after it, 3 to 5 the same of the feed-forward part."""
        return self.rows[:, i * width : (i + 1) * width]


class Stream(NamedTuple):
    """Tokens x (B, N, D) float32 and what is yet to be added to them: delta (B, N, D) times gate (R, D), or nothing.

    The sum is made by whoever reads the stream next, in the same pass over memory.
    """

    x: Tensor
    delta: Tensor | None = None
    gate: Tensor | None = None
    place: Tensor | None = None

    def settled(self) -> Tensor:
        """The tokens with everything added."""
        if self.delta is None:
            return self.x
        if self.gate is None:
            return self.x + self.delta
        return torch.addcmul(self.x, self.delta, spread(self.gate, self.place, self.x))


def spread(rows: Tensor, place: Tensor | None, x: Tensor) -> Tensor:
    """Rows (R, D) as they belong to the tokens x (B, N, D)."""
    return rows[:, None] if place is None else rows[place].view(x.shape[0], x.shape[1], -1)


def unfold(x: Tensor, kernel: int) -> Tensor:
    """Neighbours of each token side by side, zeros beyond the ends: (B, N, D) or (B, N, h, C) -> (B * N, kernel * D).

    Copied, one row a token: of the overlapping view a product would be a batch of small ones and a bias added afterwards.
    """
    x = x.flatten(2)
    batch, length, width = x.shape
    if kernel == 1:
        return x.reshape(batch * length, width)
    padded = F.pad(x, (0, 0, kernel // 2, kernel // 2))
    overlapping = padded.as_strided((batch, length, kernel * width), (padded.stride(0), width, 1))
    return overlapping.reshape(batch * length, -1)


def modulate(
    stream: Stream, shift: Tensor, scale: Tensor, place: Tensor | None, dtype: torch.dtype, kernel: int
) -> tuple[Tensor, Tensor]:
    """The settled stream, and its layer norm without weights `* (1 + scale) + shift`, made in float32, in `dtype`, unfolded.

    shift and scale (R, D) are columns of the same rows, as is the stream's gate.
    """
    x = stream.settled()
    normed = F.layer_norm(x, x.shape[-1:])
    made = torch.addcmul(normed + spread(shift, place, x), normed, spread(scale, place, x))
    return x, unfold(made.to(dtype), kernel)


def add_norm(stream: Stream, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The settled stream of no gate, and its layer norm with weight and bias (D,), made in float32, in `dtype`."""
    x = stream.settled()
    return x, F.layer_norm(x, x.shape[-1:], weight, bias, eps).to(dtype)


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn adjacent pairs of channels in float32: x (..., N, heads, C) float32, table (N, C / 2)."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * table[:, None]).flatten(-2)


def rms_norm_rope(product: Tensor, weights: Tensor, table: Tensor | None, into: Tensor, at: int) -> None:
    """Queries and keys over their heads' channels normalised and turned, in float32, values as they are; written from token `at` on.

    product (B, N, 3 or 2, h, C): queries, keys, values, or no queries; weights (2, C) of queries and keys;
    into (3, B, M, h, C) in the product's precision.
    """
    *asked, v = product.unbind(2)
    into[2, :, at : at + product.shape[1]] = v
    first = 2 - len(asked)
    for i, part in enumerate(asked, start=first):
        z = F.rms_norm(part.float(), part.shape[-1:], weights[i].float(), EPSILON_F32)
        into[i, :, at : at + product.shape[1]] = z if table is None else rotate(z, table)


def swiglu(both: Tensor, kernel: int) -> Tensor:
    """silu(a) * b of a and b side by side, unfolded: (B, N, 2H) -> (B * N, kernel * H)."""
    opening, value = both.chunk(2, dim=-1)
    return unfold(F.silu(opening) * value, kernel)


class Pointwise(NamedTuple):
    """One way to compute what lies between the products."""

    unfold: Callable[[Tensor, int], Tensor]
    modulate: Callable[[Stream, Tensor, Tensor, Tensor | None, torch.dtype, int], tuple[Tensor, Tensor]]
    add_norm: Callable[[Stream, Tensor, Tensor, float, torch.dtype], tuple[Tensor, Tensor]]
    rms_norm_rope: Callable[[Tensor, Tensor, Tensor | None, Tensor, int], None]
    swiglu: Callable[[Tensor, int], Tensor]


PLAIN = Pointwise(unfold, modulate, add_norm, rms_norm_rope, swiglu)


@cache
def pointwise(device: torch.device) -> Pointwise:
    """One kernel each on a GPU where Triton is installed, can compile, and gives the plain numbers; else the plain forms."""
    if device.type != "cuda":
        return PLAIN

    def fused() -> Pointwise:
        from worker.engines.mmaudio import kernels

        fast = Pointwise(kernels.unfold, kernels.modulate, kernels.add_norm, kernels.rms_norm_rope, kernels.swiglu)
        _compare(fast, device)
        return fast

    return fused_or_plain("networks", fused, PLAIN)


def _compare(fast: Pointwise, device: torch.device) -> None:
    """Raises AssertionError where a kernel and its plain form differ by more than bfloat16 does."""
    ours, theirs = (_probe(way, device, torch.bfloat16) for way in (fast, PLAIN))
    torch.testing.assert_close(ours, theirs, atol=2e-2, rtol=2e-2)


def _probe(way: Pointwise, device: torch.device, dtype: torch.dtype) -> list[Tensor]:
    """What each gives for a few tokens."""
    x = torch.linspace(-2, 3, 2 * 5 * 128, device=device).sin().view(2, 5, 128)
    rows = torch.linspace(-1, 1, 7 * 3 * 128, device=device).cos().view(7, 3 * 128)
    own = Modulation(rows.to(dtype), torch.arange(10, device=device) % 7)
    angles = torch.linspace(0, 6, 5 * 32, device=device).view(5, 32)
    product = x.to(dtype)[:, :, None].repeat(1, 1, 3, 1).view(2, 5, 3, 2, 64)
    into = torch.zeros(3, 2, 6, 2, 64, dtype=dtype, device=device)
    weights = torch.stack([x[0, 0, :64], x[0, 1, :64]]).to(dtype)
    way.rms_norm_rope(product, weights, torch.polar(torch.ones_like(angles), angles), into, 1)
    stream = Stream(x, x.to(dtype), own.part(2, 128), own.place)
    return [
        into,
        way.unfold(product[:, :, 0], 3),
        *way.modulate(stream, own.part(0, 128), own.part(1, 128), own.place, dtype, 3),
        *way.add_norm(Stream(x, x.to(dtype)), x[0, 0], x[0, 1], 1e-5, dtype),
        way.swiglu(x.to(dtype), 3),
    ]
