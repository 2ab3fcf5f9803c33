"""The anti-aliased activation as one Triton kernel: the signal at twice the rate never reaches memory.

A program makes a tile of channels x groups of eight samples. It walks through the doubled samples the tile hears, makes
each once, and adds it to the eight outputs with the taps they have for it: 3.25 sines an output instead of 12.
Layouts are free: strides come from the tensor, neighbouring lanes are neighbouring channels where channels are last.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from worker.pipeline.mmaudio.activation import TAPS

GROUP = 8
"""Outputs a lane makes; a power of two."""


@triton.jit  # type: ignore[untyped-decorator]
def _activate(  # type: ignore[no-untyped-def]  # noqa: ANN202
    x,  # noqa: ANN001
    y,  # noqa: ANN001
    rate,  # noqa: ANN001
    depth,  # noqa: ANN001
    taps,  # noqa: ANN001
    channels,  # noqa: ANN001
    length,  # noqa: ANN001
    stride_b,  # noqa: ANN001
    stride_c,  # noqa: ANN001
    stride_t,  # noqa: ANN001
    GROUP: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_G: tl.constexpr,
):
    batch = tl.program_id(2).to(tl.int64)
    lane = tl.arange(0, BLOCK_C * BLOCK_G)
    channel = tl.program_id(1) * BLOCK_C + lane % BLOCK_C
    group = tl.program_id(0) * BLOCK_G + lane // BLOCK_C
    first = group * GROUP  # the first output of this lane
    live = (channel < channels) & (first < length)
    row = x + batch * stride_b + channel.to(tl.int64) * stride_c
    a = tl.load(rate + channel, mask=live, other=0.0)
    b = tl.load(depth + channel, mask=live, other=0.0)
    member = tl.arange(0, GROUP)
    total = tl.zeros((BLOCK_C * BLOCK_G, GROUP), dtype=tl.float32)
    for n in tl.static_range(2 * GROUP + 10):
        # Doubled sample 2 * first - 5 + n, held at both ends.
        doubled = tl.minimum(tl.maximum(2 * first - 5 + n, 0), 2 * length - 1)
        middle = doubled // 2
        odd = doubled % 2
        u = tl.zeros((BLOCK_C * BLOCK_G,), dtype=tl.float32)
        for j in tl.static_range(6):
            at = tl.minimum(tl.maximum(middle + 2 + odd - j, 0), length - 1)
            sample = tl.load(row + at.to(tl.int64) * stride_t, mask=live, other=0.0).to(tl.float32)
            u += 2.0 * tl.load(taps + 2 * j + 1 - odd) * sample
        wave = tl.sin(u * a)
        s = u + wave * wave * b
        tap = n - 2 * member  # which tap each of the outputs has for this sample
        weight = tl.load(taps + tap, mask=(tap >= 0) & (tap < 12), other=0.0)
        total += s[:, None] * weight[None, :]
    at = first[:, None] + member[None, :]
    place = y + batch * stride_b + channel[:, None].to(tl.int64) * stride_c + at.to(tl.int64) * stride_t
    tl.store(place, total.to(y.dtype.element_ty), mask=live[:, None] & (at < length))


_taps: dict[torch.device, Tensor] = {}


def activate(x: Tensor, rate: Tensor, depth: Tensor) -> Tensor:
    """The activation of x (B, C, T) in any precision and layout; rate = exp(alpha), depth = 1 / exp(beta), float32."""
    if x.device not in _taps:
        _taps[x.device] = torch.tensor(TAPS, device=x.device)
    y = torch.empty_like(x)
    batch, channels, length = x.shape
    strides = x.stride()
    if y.stride() != strides:
        x = x.contiguous()
        y, strides = torch.empty_like(x), x.stride()
    wide = min(64, triton.next_power_of_2(channels)) if strides[1] == 1 else 1
    groups = max(1, 128 // wide)
    grid = (triton.cdiv(length, GROUP * groups), triton.cdiv(channels, wide), batch)
    _activate[grid](
        x, y, rate, depth, _taps[x.device], channels, length, *strides, GROUP=GROUP, BLOCK_C=wide, BLOCK_G=groups
    )
    return y
