"""What lies between the flow network's products as Triton kernels: one pass over memory each, a program a token.

The forms they replace are in `layers.py`; there `pointwise` says where these are used.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from worker.pipeline.mmaudio.layers import EPSILON_F32


@triton.jit  # type: ignore[untyped-decorator]
def _modulate(  # type: ignore[no-untyped-def]  # noqa: ANN202
    x,  # noqa: ANN001
    shift,  # noqa: ANN001
    scale,  # noqa: ANN001
    y,  # noqa: ANN001
    tokens,  # noqa: ANN001
    rows_b,  # noqa: ANN001
    rows_n,  # noqa: ANN001
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    at = tl.program_id(0)
    channel = tl.arange(0, BLOCK)
    live = channel < WIDTH
    token = at.to(tl.int64) * WIDTH + channel
    row = (at // tokens).to(tl.int64) * rows_b + (at % tokens).to(tl.int64) * rows_n + channel
    value = tl.load(x + token, mask=live, other=0.0)
    centred = tl.where(live, value - tl.sum(value, axis=0) / WIDTH, 0.0)
    normed = centred * tl.rsqrt(tl.sum(centred * centred, axis=0) / WIDTH + 1e-5)
    moved = normed + tl.load(shift + row, mask=live, other=0.0).to(tl.float32)
    made = moved + normed * tl.load(scale + row, mask=live, other=0.0).to(tl.float32)
    tl.store(y + token, made.to(y.dtype.element_ty), mask=live)


def modulate(x: Tensor, shift: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    """`layers.modulate` of x (B, N, D) float32; shift and scale (B, N or 1, D) are columns of the same rows."""
    batch, tokens, width = x.shape
    x, y = x.contiguous(), torch.empty(x.shape, dtype=dtype, device=x.device)
    strides = shift.stride(0) if len(shift) > 1 else 0, shift.stride(1) if shift.shape[1] > 1 else 0
    block = triton.next_power_of_2(width)
    _modulate[batch * tokens,](x, shift, scale, y, tokens, *strides, WIDTH=width, BLOCK=block)
    return y


@triton.jit  # type: ignore[untyped-decorator]
def _turn(  # type: ignore[no-untyped-def]  # noqa: ANN202
    x,  # noqa: ANN001
    weight,  # noqa: ANN001
    table,  # noqa: ANN001
    y,  # noqa: ANN001
    tokens,  # noqa: ANN001
    stride_n,  # noqa: ANN001
    epsilon,  # noqa: ANN001
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_P: tl.constexpr,
    TURNS: tl.constexpr,
):
    at = tl.program_id(0)
    head = tl.arange(0, BLOCK_H)[:, None]
    pair = tl.arange(0, BLOCK_P)[None, :]
    live = (head < HEADS) & (pair < WIDTH // 2)
    of_pair = pair < WIDTH // 2
    token = x + at.to(tl.int64) * stride_n + head * WIDTH + 2 * pair
    even = tl.load(token, mask=live, other=0.0).to(tl.float32)
    odd = tl.load(token + 1, mask=live, other=0.0).to(tl.float32)
    inverse = tl.rsqrt(tl.sum(even * even + odd * odd, axis=1) / WIDTH + epsilon)[:, None]
    even *= inverse * tl.load(weight + 2 * pair, mask=of_pair, other=0.0).to(tl.float32)
    odd *= inverse * tl.load(weight + 2 * pair + 1, mask=of_pair, other=0.0).to(tl.float32)
    if TURNS:
        angle = table + (at % tokens) * WIDTH + 2 * pair
        cosine = tl.load(angle, mask=of_pair, other=0.0)
        sine = tl.load(angle + 1, mask=of_pair, other=0.0)
        even, odd = even * cosine - odd * sine, even * sine + odd * cosine
    place = y + at.to(tl.int64) * HEADS * WIDTH + head * WIDTH + 2 * pair
    tl.store(place, even.to(y.dtype.element_ty), mask=live)
    tl.store(place + 1, odd.to(y.dtype.element_ty), mask=live)


def turn(part: Tensor, weight: Tensor, table: Tensor | None) -> Tensor:
    """`layers.turn` of part (B, N, h, C), one of the thirds of a contiguous product; answers in its precision."""
    batch, tokens, heads, width = part.shape
    y = torch.empty(part.shape, dtype=part.dtype, device=part.device)
    angles = y if table is None else torch.view_as_real(table)
    _turn[batch * tokens,](
        part, weight, angles, y, tokens, part.stride(1), EPSILON_F32,
        HEADS=heads, WIDTH=width, BLOCK_H=triton.next_power_of_2(heads), BLOCK_P=triton.next_power_of_2(width // 2),
        TURNS=table is not None,
    )  # fmt: skip
    return y


@triton.jit  # type: ignore[untyped-decorator]
def _gate(both, y, WIDTH: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    at = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    live = channel < WIDTH
    row = both + at * 2 * WIDTH + channel
    opening = tl.load(row, mask=live, other=0.0).to(tl.float32)
    value = tl.load(row + WIDTH, mask=live, other=0.0).to(tl.float32)
    made = opening / (1.0 + tl.exp(-opening)) * value
    tl.store(y + at * WIDTH + channel, made.to(y.dtype.element_ty), mask=live)


def gate(both: Tensor) -> Tensor:
    """`layers.gate` of (..., 2H), contiguous -> (..., H)."""
    width = both.shape[-1] // 2
    y = both.new_empty(*both.shape[:-1], width)
    block = min(1024, triton.next_power_of_2(width))
    _gate[both.numel() // (2 * width), triton.cdiv(width, block)](both, y, WIDTH=width, BLOCK=block)
    return y
