"""A frame made small, in the colours that people see on an ordinary screen. Runs in the decoder's child process only.

HDR is brought down by the formulas of ITU-R BT.2100. (swscale can do it, too, but takes four seconds to begin, and leaves
nothing of what is brighter than white.)
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

PQ, HLG = 16, 18
"""Transfer functions by their code points in ITU-T H.273."""
_WIDE = 9
"""The primaries of BT.2020."""
_NARROW = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)  # linear light, BT.2020 to BT.709 (ITU-R BT.2087)
_WHITE_NITS = 203
"""Paper white, by ITU-R BT.2408."""
_SHOULDER = 0.6
"""Up to this much of paper white light stays as it is; what is brighter shares the rest, paper white itself is seen at 0.93."""


def small_picture(
    reformatter: VideoReformatter, frame: VideoFrame, width: int, height: int, interpolation: str = "BILINEAR"
) -> npt.NDArray[np.uint8]:
    """Return (height, width, 3), RGB for a screen of BT.709. Raises av.FFmpegError, ValueError."""
    hdr = frame.color_trc in (PQ, HLG)
    form = "rgb48le" if hdr else "rgb24"
    small = reformatter.reformat(frame, width, height, form, interpolation=interpolation).to_ndarray()
    if not hdr:
        return small.astype(np.uint8, copy=False)
    light = _light(frame.color_trc)[small]
    if frame.color_trc == HLG:  # which is light of the scene: a display of 1000 nits makes this of it
        luminance = light @ np.array([0.2627, 0.678, 0.0593], np.float32)
        light = light * luminance[..., None] ** 0.2 * (1000 / _WHITE_NITS)
    if frame.color_primaries == _WIDE:
        light = np.maximum(light @ _NARROW.T, 0)
    room = 1 - _SHOULDER
    light = np.where(light > _SHOULDER, 1 - room * np.exp((_SHOULDER - light) / room), light)
    picture: npt.NDArray[np.uint8] = np.rint(255 * light ** (1 / 2.2)).astype(np.uint8)
    return picture


@cache
def _light(transfer: int) -> npt.NDArray[np.floating]:
    """For each 16-bit code its light: PQ's in times of paper white, HLG's of the scene, 0..1."""
    code = np.linspace(0, 1, 2**16)
    if transfer == HLG:
        bright = (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12
        return np.where(code <= 0.5, code**2 / 3, bright).astype(np.float32)
    root = code ** (32 / 2523)
    nits = 10_000 * (np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)) ** (16384 / 2610)
    return (nits / _WHITE_NITS).astype(np.float32)
