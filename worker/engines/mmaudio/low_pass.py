"""The 12-tap low-pass filter of the vocoder's activations, by which they go to twice the rate and back."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

_HALF = ("0x1.09f0c2p-9", "0x1.33ac8cp-7", "-0x1.a28108p-6", "-0x1.d8544cp-5", "0x1.075110p-3", "0x1.c5d8cap-2")
TAPS = tuple(float.fromhex(tap) for tap in (*_HALF, *reversed(_HALF)))
"""Kaiser-windowed sinc, cutoff 0.25, half width 0.3, beta 4.6638, sum 1: exact in float32, symmetric."""

BLOCK = 16
"""Samples a CPU filters with one row of a matrix product: wider rows multiply more zeros, narrower ones copy more."""


@cache
@torch.inference_mode(mode=False)
def filters(channels: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Both phases of the filter over a window of seven samples: up (2C, 1, 7), down (C, 2, 7) for grouped convolutions."""
    up, down = torch.zeros(2, 7), torch.zeros(2, 7)
    for j in range(6):
        up[0, 5 - j], up[1, 6 - j] = 2 * TAPS[2 * j + 1], 2 * TAPS[2 * j]
        down[0, j + 1], down[1, j] = TAPS[2 * j + 1], TAPS[2 * j]
    return up.repeat(channels, 1)[:, None].to(device), down[None].repeat(channels, 1, 1).to(device)


@cache
@torch.inference_mode(mode=False)
def matrices(device: torch.device) -> tuple[Tensor, Tensor]:
    """The filter as matrices over a block: up (BLOCK + 6, 2 BLOCK), and down (2 BLOCK + 10, BLOCK)."""
    up, down = torch.zeros(BLOCK + 6, 2 * BLOCK), torch.zeros(2 * BLOCK + 10, BLOCK)
    for t in range(BLOCK):
        for j in range(6):
            up[t + 5 - j, 2 * t], up[t + 6 - j, 2 * t + 1] = 2 * TAPS[2 * j + 1], 2 * TAPS[2 * j]
        for k in range(12):
            down[2 * t + k, t] = TAPS[k]
    return up.to(device), down.to(device)
