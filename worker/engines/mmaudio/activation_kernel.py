"""The anti-aliased activation as one Triton kernel: the signal at twice the rate never reaches memory.

A program makes a tile of channels x groups of sixteen samples. A lane walks along its group: each step takes one more
sample, makes the two doubled samples that the last six samples give, and adds them to the six outputs that hear them,
of which the oldest is then complete: 2.6 sines an output instead of 12, and every sample is loaded once a lane.
Layouts are free: strides come from the tensor, neighbouring lanes are neighbouring channels where channels are last.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN202

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from worker.engines.mmaudio.low_pass import TAPS

GROUP = 16
"""Outputs a lane makes; the first five samples of its way give none."""
WIDE = 32
"""Neighbouring channels of a program, whatever the layer: one kernel for all, since it takes seconds to compile."""
_TAPS = tl.constexpr(TAPS)


@triton.jit
def _sample(row, at, length, stride_t, live, shift):
    """x at this time plus the bias that is yet to be added to it, held at both ends."""
    at = tl.minimum(tl.maximum(at, 0), length - 1)
    return tl.load(row + at.to(tl.int64) * stride_t, mask=live, other=0.0).to(tl.float32) + shift


@triton.jit
def _snake(u, a, b, EXACT: tl.constexpr):
    """u + sin^2(a u) b.

    Exact: the angle less the nearest multiple of pi, then an odd polynomial, its argument at most pi / 2. Else
    b / 2 (1 - cos(2 a u)) by the device's own cosine: 5e-7 b away, far below what half precision rounds off.
    """
    if EXACT:
        angle = u * a
        turns = (angle * 0.3183098861837907 + 12582912.0) - 12582912.0  # to the nearest whole number
        # pi in two parts, so that the first product is exact
        rest = (angle - turns * 3.140625) - turns * 9.67653589793e-4
        q = tl.minimum(rest * rest, 2.4674011)  # an angle beyond what float32 can reduce still has a sine
        sine = 1.0 + q * (
            -0.16666667163372040 + q * (8.3333319202e-3 + q * (-1.98408714e-4 + q * (2.7525562e-6 - q * 2.3889859e-8)))
        )
        return u + (q * sine) * (sine * b)
    cosine = tl.inline_asm_elementwise(
        "cos.approx.ftz.f32 $0, $1;", "=f,f", [2.0 * a * u], dtype=tl.float32, is_pure=True, pack=1
    )
    return u + 0.5 * b - 0.5 * b * cosine


@triton.jit
def _odd(x0, x1, x2, x3, x4, x5, a, b, EXACT: tl.constexpr):
    """The doubled sample five before twice the newest, x5; `_even` is the one after it."""
    u = _TAPS[0] * x5 + _TAPS[2] * x4 + _TAPS[4] * x3 + _TAPS[6] * x2 + _TAPS[8] * x1 + _TAPS[10] * x0
    return _snake(2.0 * u, a, b, EXACT)


@triton.jit
def _even(x0, x1, x2, x3, x4, x5, a, b, EXACT: tl.constexpr):
    u = _TAPS[1] * x5 + _TAPS[3] * x4 + _TAPS[5] * x3 + _TAPS[7] * x2 + _TAPS[9] * x1 + _TAPS[11] * x0
    return _snake(2.0 * u, a, b, EXACT)


@triton.jit(do_not_specialize=["channels", "length", "stride_b", "stride_t"])
def _activate(
    x, y, rate, depth, bias, channels, length, stride_b, stride_c, stride_t,
    EXACT: tl.constexpr, GROUP: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_G: tl.constexpr,
):  # fmt: skip
    batch = tl.program_id(2).to(tl.int64)
    lane = tl.arange(0, BLOCK_C * BLOCK_G)
    channel = tl.program_id(1) * BLOCK_C + lane % BLOCK_C
    group = tl.program_id(0) * BLOCK_G + lane // BLOCK_C
    first = group * GROUP  # the first output of this lane
    live = (channel < channels) & (first < length)
    offset = batch * stride_b + channel.to(tl.int64) * stride_c
    a = tl.load(rate + channel, mask=live, other=0.0)
    b = tl.load(depth + channel, mask=live, other=0.0)
    shift = tl.load(bias + channel, mask=live, other=0.0).to(tl.float32)
    row = x + offset
    x1 = _sample(row, first - 5, length, stride_t, live, shift)
    x2 = _sample(row, first - 4, length, stride_t, live, shift)
    x3 = _sample(row, first - 3, length, stride_t, live, shift)
    x4 = _sample(row, first - 2, length, stride_t, live, shift)
    x5 = _sample(row, first - 1, length, stride_t, live, shift)
    x6 = _sample(row, first, length, stride_t, live, shift)
    x7 = _sample(row, first + 1, length, stride_t, live, shift)
    x8 = _sample(row, first + 2, length, stride_t, live, shift)
    # The doubled sample 2 * first: where the signal begins, everything before it is held at it.
    start = _even(x3, x4, x5, x6, x7, x8, a, b, EXACT)
    even = start
    y1 = tl.zeros((BLOCK_C * BLOCK_G,), dtype=tl.float32)
    y2, y3, y4, y5 = y1, y1, y1, y1
    for k in tl.static_range(GROUP + 5):
        x0, x1, x2, x3, x4 = x1, x2, x3, x4, x5
        x5 = _sample(row, first + k, length, stride_t, live, shift)
        doubled = 2 * (first + k) - 5  # where the odd one lies
        # Beyond the end: the last.
        odd = tl.where(doubled < 2 * length, _odd(x0, x1, x2, x3, x4, x5, a, b, EXACT), even)
        even = tl.where(doubled + 1 < 2 * length, _even(x0, x1, x2, x3, x4, x5, a, b, EXACT), odd)
        if k < 3:
            odd = tl.where(doubled < 0, start, odd)
            even = tl.where(doubled + 1 < 0, start, even)
        y0 = y1 + _TAPS[10] * odd + _TAPS[11] * even
        y1 = y2 + _TAPS[8] * odd + _TAPS[9] * even
        y2 = y3 + _TAPS[6] * odd + _TAPS[7] * even
        y3 = y4 + _TAPS[4] * odd + _TAPS[5] * even
        y4 = y5 + _TAPS[2] * odd + _TAPS[3] * even
        y5 = _TAPS[0] * odd + _TAPS[1] * even
        if k >= 5:
            at = first + k - 5
            place = y + offset + at.to(tl.int64) * stride_t
            tl.store(place, y0.to(y.dtype.element_ty), mask=live & (at < length))


def activate(x: Tensor, rate: Tensor, depth: Tensor, bias: Tensor | None = None) -> Tensor:
    """The activation of x (B, C, T) plus bias (C,) in any precision and layout; rate = exp(alpha), depth = 1 / exp(beta), float32."""
    y = torch.empty_like(x)
    batch, channels, length = x.shape
    strides = x.stride()
    if y.stride() != strides:
        x = x.contiguous()
        y, strides = torch.empty_like(x), x.stride()
    wide = WIDE if strides[1] == 1 else 1
    groups = max(1, 128 // wide)
    grid = (triton.cdiv(length, GROUP * groups), triton.cdiv(channels, wide), batch)
    _activate[grid](
        x, y, rate, depth, torch.zeros_like(rate, dtype=x.dtype) if bias is None else bias, channels, length, *strides,
        EXACT=x.dtype is torch.float32 or not x.is_cuda, GROUP=GROUP, BLOCK_C=wide, BLOCK_G=groups,
    )  # fmt: skip
    return y


@triton.jit(do_not_specialize=["count"])
def _add_biased(x, y, bias, out, count, CHANNELS: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = at < count
    value = tl.load(x + at, mask=live, other=0.0).to(tl.float32) + tl.load(y + at, mask=live, other=0.0).to(tl.float32)
    value += tl.load(bias + at % CHANNELS, mask=live, other=0.0).to(tl.float32)
    tl.store(out + at, value.to(out.dtype.element_ty), mask=live)


def add_biased(x: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    """x + y + bias (C,) in one pass, of x and y (B, C, T) with channels innermost."""
    out, block = torch.empty_like(x), 1024
    _add_biased[triton.cdiv(x.numel(), block),](x, y, bias, out, x.numel(), CHANNELS=x.shape[1], BLOCK=block)
    return out
