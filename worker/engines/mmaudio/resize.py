"""Frames to the encoders' sizes: bicubic with antialiasing, horizontally and then vertically, rounded in between.

On the CPU this is PyTorch's uint8 kernel, which the reference uses. Elsewhere the same two passes in float32, rounding
and clamping after each: at most 2/255 away on a few pixels in a thousand (the kernel's weights are fixed-point).
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

CLIP_SIDE = 384
SYNC_SIDE = 224
_A = -0.5


def _bicubic(x: Tensor) -> Tensor:
    x = x.abs()
    near = ((_A + 2) * x - (_A + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * _A
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


@lru_cache(maxsize=32)
def _taps(source: int, target: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The matrix (source, target) of one pass as a sum of two: half-pixel centres, the kernel widened when shrinking, rows sum to one.

    The first has ten bits and the second the next ten, so that tensor cores, which round to ten, multiply both exactly.
    """
    scale = source / target
    support = 2.0 * max(scale, 1.0)
    centres = (torch.arange(target, dtype=torch.float64) + 0.5) * scale
    first = (centres - support + 0.5).floor().clamp(min=0)
    last = (centres + support + 0.5).floor().clamp(max=source)
    position = torch.arange(source, dtype=torch.float64)[:, None]
    weights = _bicubic((position - centres + 0.5) / max(scale, 1.0))
    weights = torch.where((position >= first) & (position < last), weights, torch.zeros_like(weights))
    exact = (weights / weights.sum(dim=0)).float()
    coarse = (exact.view(torch.int32) & ~0x1FFF).view(torch.float32)
    return coarse.to(device), (exact - coarse).to(device)


def two_passes(frames: Tensor, height: int, width: int) -> Tensor:
    """uint8 (F, 3, H, W) -> uint8 (F, 3, height, width), on any device."""
    x = frames.float()  # whole numbers up to 255, which tensor cores keep as they are
    if x.shape[-1] != width:
        coarse, fine = _taps(x.shape[-1], width, x.device)
        x = (x @ coarse + x @ fine).round_().clamp_(0, 255)
    if x.shape[-2] != height:
        coarse, fine = _taps(x.shape[-2], height, x.device)
        x = (coarse.T @ x + fine.T @ x).round_().clamp_(0, 255)
    return x.to(torch.uint8)


def resize(frames: Tensor, height: int, width: int) -> Tensor:
    """uint8 (F, 3, H, W) -> uint8 (F, 3, height, width), equal to the reference on the CPU."""
    if frames.device.type != "cpu":
        return two_passes(frames, height, width)
    return F.interpolate(frames, (height, width), mode="bicubic", antialias=True, align_corners=False)


def for_clip(frames: Tensor) -> Tensor:
    """uint8 (F, 3, H, W) -> (F, 3, 384, 384), the aspect ratio squashed."""
    return resize(frames, CLIP_SIDE, CLIP_SIDE)


def for_sync(frames: Tensor) -> Tensor:
    """uint8 (F, 3, H, W) -> (F, 3, 224, 224): the short side to 224, then the middle."""
    height, width = frames.shape[-2:]
    if height <= width:
        size = (SYNC_SIDE, int(SYNC_SIDE * width / height))
    else:
        size = (int(SYNC_SIDE * height / width), SYNC_SIDE)
    resized = resize(frames, *size)
    top, left = (round((side - SYNC_SIDE) / 2) for side in size)
    return resized[..., top : top + SYNC_SIDE, left : left + SYNC_SIDE]


def clip_pixels(frames: Tensor) -> Tensor:
    """uint8 -> float32 in 0..1."""
    return frames.float() * (1 / 255)


def sync_pixels(frames: Tensor) -> Tensor:
    """uint8 -> float32 in -1..1."""
    return (clip_pixels(frames) - 0.5) / 0.5
