"""What lies between the networks' products as Triton kernels: one pass over memory each, a program a token.

The forms they replace are in `pointwise.py`, which also says where these are used. Numbers of tokens are not specialised
on: another length of film compiles nothing.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN202

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

Pending = tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]
"""The fields of a `Stream`."""


@triton.jit
def _store_unfolded(y, at, n, tokens, channel, live, value, WIDTH: tl.constexpr, TAPS: tl.constexpr):
    """Token n's value into the rows of all tokens that have it for a neighbour, and zeros where it has none itself."""
    value = value.to(y.dtype.element_ty)
    for tap in tl.static_range(TAPS):
        away = TAPS // 2 - tap
        ok = live & (n + away >= 0) & (n + away < tokens)
        tl.store(y + ((at + away).to(tl.int64) * TAPS + tap) * WIDTH + channel, value, mask=ok)
        beyond = live & ((n - away < 0) | (n - away >= tokens))
        tl.store(y + (at.to(tl.int64) * TAPS + tap) * WIDTH + channel, tl.zeros_like(value), mask=beyond)


@triton.jit(do_not_specialize=["tokens"])
def _unfold(
    x, y, tokens, stride_b, stride_n, stride_h,
    WIDTH: tl.constexpr, HEAD: tl.constexpr, BLOCK: tl.constexpr, TAPS: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0)
    n = at % tokens
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    live = channel < WIDTH
    place = (at // tokens).to(tl.int64) * stride_b + n.to(tl.int64) * stride_n
    value = tl.load(x + place + (channel // HEAD) * stride_h + channel % HEAD, mask=live, other=0.0)
    _store_unfolded(y, at, n, tokens, channel, live, value, WIDTH, TAPS)


def unfold(x: Tensor, kernel: int) -> Tensor:
    """`pointwise.unfold` of x (B, N, D) or (B, N, h, C), innermost channels side by side."""
    if kernel == 1 and x.is_contiguous():
        return x.view(x.shape[0] * x.shape[1], -1)
    if x.stride(-1) != 1:
        x = x.contiguous()
    heads = x if x.dim() == 4 else x[:, :, None]
    batch, tokens, count, head = heads.shape
    width = count * head
    y = torch.empty(batch * tokens, kernel * width, dtype=x.dtype, device=x.device)
    block = min(1024, triton.next_power_of_2(width))
    _unfold[batch * tokens, triton.cdiv(width, block)](
        heads, y, tokens, *heads.stride()[:3], WIDTH=width, HEAD=head, BLOCK=block, TAPS=kernel
    )
    return y


@triton.jit(do_not_specialize=["tokens"])
def _modulate(
    x, delta, gate, gate_place, shift, scale, place, out, y, tokens, stride_g, stride_r,
    DELTA: tl.constexpr, GATED: tl.constexpr, PLACED: tl.constexpr,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, TAPS: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0)
    channel = tl.arange(0, BLOCK)
    live = channel < WIDTH
    token = at.to(tl.int64) * WIDTH + channel
    value = tl.load(x + token, mask=live, other=0.0)
    if DELTA:
        row = (tl.load(gate_place + at) if GATED else at // tokens).to(tl.int64) * stride_g + channel
        opened = tl.load(gate + row, mask=live, other=0.0).to(tl.float32)
        value += tl.load(delta + token, mask=live, other=0.0).to(tl.float32) * opened
        tl.store(out + token, value, mask=live)
    row = (tl.load(place + at) if PLACED else at // tokens).to(tl.int64) * stride_r + channel
    centred = tl.where(live, value - tl.sum(value, axis=0) / WIDTH, 0.0)
    normed = centred * tl.rsqrt(tl.sum(centred * centred, axis=0) / WIDTH + 1e-5)
    moved = normed + tl.load(shift + row, mask=live, other=0.0).to(tl.float32)
    made = moved + normed * tl.load(scale + row, mask=live, other=0.0).to(tl.float32)
    _store_unfolded(y, at, at % tokens, tokens, channel, live, made, WIDTH, TAPS)


def modulate(
    stream: Pending, shift: Tensor, scale: Tensor, place: Tensor | None, dtype: torch.dtype, kernel: int
) -> tuple[Tensor, Tensor]:
    """`pointwise.modulate`."""
    x, delta, gate, gate_place = stream
    x = x.contiguous()
    batch, tokens, width = x.shape
    y = torch.empty(batch * tokens, kernel * width, dtype=dtype, device=x.device)
    out = x if delta is None else torch.empty_like(x)
    _modulate[batch * tokens,](
        x, x if delta is None else delta.contiguous(), x if gate is None else gate,
        x if gate_place is None else gate_place, shift, scale, x if place is None else place, out, y, tokens,
        0 if gate is None else gate.stride(0), shift.stride(0),
        DELTA=delta is not None, GATED=gate_place is not None, PLACED=place is not None,
        WIDTH=width, BLOCK=triton.next_power_of_2(width), TAPS=kernel,
    )  # fmt: skip
    return out, y


@triton.jit
def _add_norm(
    x, delta, weight, bias, out, y, eps,
    DELTA: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    channel = tl.arange(0, BLOCK)
    live = channel < WIDTH
    token = tl.program_id(0).to(tl.int64) * WIDTH + channel
    value = tl.load(x + token, mask=live, other=0.0)
    if DELTA:
        value += tl.load(delta + token, mask=live, other=0.0).to(tl.float32)
        tl.store(out + token, value, mask=live)
    centred = tl.where(live, value - tl.sum(value, axis=0) / WIDTH, 0.0)
    normed = centred * tl.rsqrt(tl.sum(centred * centred, axis=0) / WIDTH + eps)
    made = normed * tl.load(weight + channel, mask=live, other=0.0) + tl.load(bias + channel, mask=live, other=0.0)
    tl.store(y + token, made.to(y.dtype.element_ty), mask=live)


def add_norm(stream: Pending, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """`pointwise.add_norm`."""
    x, delta = stream[0].contiguous(), stream[1]
    width = x.shape[-1]
    y = torch.empty(x.shape, dtype=dtype, device=x.device)
    out = x if delta is None else torch.empty_like(x)
    _add_norm[x.numel() // width,](
        x, x if delta is None else delta.contiguous(), weight, bias, out, y, eps,
        DELTA=delta is not None, WIDTH=width, BLOCK=triton.next_power_of_2(width),
    )  # fmt: skip
    return out, y


@triton.jit(do_not_specialize=["tokens", "total", "first"])
def _rms_norm_rope(
    product, weights, table, into, tokens, total, first, stride_p, epsilon,
    PARTS: tl.constexpr, HEADS: tl.constexpr, CHANNELS: tl.constexpr, BLOCK_H: tl.constexpr, TURNS: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0)
    n = at % tokens
    head, channel = tl.arange(0, BLOCK_H)[:, None], tl.arange(0, CHANNELS)[None, :]
    live = head < HEADS
    lane = head * CHANNELS + channel
    width: tl.constexpr = HEADS * CHANNELS
    row = product + at.to(tl.int64) * PARTS * width + lane
    to = into + ((at // tokens).to(tl.int64) * total + first + n) * width + lane
    for kind in tl.static_range(3 - PARTS, 3):
        part = tl.load(row + (kind - 3 + PARTS) * width, mask=live, other=0.0)
        if kind < 2:
            z = part.to(tl.float32)
            z *= tl.rsqrt(tl.sum(z * z, axis=1) / CHANNELS + epsilon)[:, None]
            z *= tl.load(weights + kind * CHANNELS + channel).to(tl.float32)
            if TURNS:
                even, odd = tl.split(z.reshape(BLOCK_H, CHANNELS // 2, 2))
                angle = table + n * CHANNELS + 2 * tl.arange(0, CHANNELS // 2)[None, :]
                cosine, sine = tl.load(angle), tl.load(angle + 1)
                z = tl.join(even * cosine - odd * sine, even * sine + odd * cosine).reshape(BLOCK_H, CHANNELS)
            part = z.to(into.dtype.element_ty)
        tl.store(to + kind * stride_p, part, mask=live)


def rms_norm_rope(product: Tensor, weights: Tensor, table: Tensor | None, into: Tensor, at: int) -> None:
    """`pointwise.rms_norm_rope` of a contiguous product; a head has a power of two of channels."""
    batch, tokens, parts, heads, channels = product.shape
    assert product.is_contiguous()
    assert into.is_contiguous()
    angles = weights if table is None else torch.view_as_real(table)
    _rms_norm_rope[batch * tokens,](
        product, weights, angles, into, tokens, into.shape[2], at, into.stride(0), torch.finfo(torch.float32).eps,
        PARTS=parts, HEADS=heads, CHANNELS=channels, BLOCK_H=triton.next_power_of_2(heads), TURNS=table is not None,
    )  # fmt: skip


@triton.jit(do_not_specialize=["tokens"])
def _swiglu(both, y, tokens, WIDTH: tl.constexpr, BLOCK: tl.constexpr, TAPS: tl.constexpr):
    at = tl.program_id(0)
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    live = channel < WIDTH
    row = both + at.to(tl.int64) * 2 * WIDTH + channel
    opening = tl.load(row, mask=live, other=0.0).to(tl.float32)
    value = tl.load(row + WIDTH, mask=live, other=0.0).to(tl.float32)
    made = opening / (1.0 + tl.exp(-opening)) * value
    _store_unfolded(y, at, at % tokens, tokens, channel, live, made, WIDTH, TAPS)


def swiglu(both: Tensor, kernel: int) -> Tensor:
    """`pointwise.swiglu` of (B, N, 2H), contiguous."""
    batch, tokens, double = both.shape
    assert both.is_contiguous()
    width = double // 2
    y = torch.empty(batch * tokens, kernel * width, dtype=both.dtype, device=both.device)
    block = min(512, triton.next_power_of_2(width))
    _swiglu[batch * tokens, triton.cdiv(width, block)](both, y, tokens, WIDTH=width, BLOCK=block, TAPS=kernel)
    return y
