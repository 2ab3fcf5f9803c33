"""Frames as an engine sees them: bicubic with antialiasing, by PyTorch's uint8 kernel on the CPU.

No other gives the reference's pixels: PIL is off by one on a few of ten thousand, swscale by up to 15.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from worker.domain import View


def resize(frames: Tensor, view: View) -> Tensor:
    """uint8 (F, 3, H, W) -> (F, 3, side, side): squashed, or the middle of what has `side` as its short side."""
    side = view.side
    if not view.cropped:
        return _scaled(frames, side, side)
    height, width = frames.shape[-2:]
    size = (side, int(side * width / height)) if height <= width else (int(side * height / width), side)
    top, left = (round((length - side) / 2) for length in size)
    return _scaled(frames, *size)[..., top : top + side, left : left + side]


def _scaled(frames: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(frames, (height, width), mode="bicubic", antialias=True, align_corners=False)
