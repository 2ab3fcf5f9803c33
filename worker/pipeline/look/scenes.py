"""Cuts, and how each scene looks, from a row of thumbnails.

A cut is a frame that differs from the one before far more than its neighbours do from theirs: moving pictures differ
all the time, cuts stand out. Dissolves count as one scene.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from worker.domain import Scene

Thumbnail = npt.NDArray[np.uint8]
"""(27, 48, 3), RGB."""

WIDTH, HEIGHT = 48, 27
CUT = 0.12
"""The least difference of a cut; two frames of one calm shot stay below 0.02."""
OTHER_SCENE = 0.25
"""The least difference of two pictures a second or more apart that show different scenes; motion within one stays below 0.2."""
_STANDS_OUT = 3.0
_NEIGHBOURS = 4
_SHORTEST_S = 0.5
_BINS = 16
_LIVELY = 0.5
"""Change of brightness per second (1 is black to white) at which motion reaches 1 - 1/e."""


def difference(before: Thumbnail, after: Thumbnail) -> float:
    """How different two pictures are, 0..1: half by place (mean difference of pixels), half by colour (histograms)."""
    place = float(np.abs(before.astype(np.int16) - after).mean()) / 255
    colour = float(np.abs(_histogram(before) - _histogram(after)).sum()) / 2
    return (place + colour) / 2


def _histogram(picture: Thumbnail) -> npt.NDArray[np.float64]:
    bins = picture // (256 // _BINS) + np.arange(3, dtype=np.uint8) * _BINS  # each channel has bins of its own
    return np.bincount(bins.ravel(), minlength=3 * _BINS) / picture.size


def find_cuts(
    times: Sequence[float], pictures: Sequence[Thumbnail], changes: Sequence[float], duration_s: float
) -> list[int]:
    """Return the indices of first frames after a cut; `changes[i]` is the difference of pictures i-1 and i."""
    cuts: list[int] = []
    earliest_s, latest_s = _SHORTEST_S, duration_s - _SHORTEST_S
    flash_over = 0
    for i in range(1, len(pictures)):
        if changes[i] < CUT or i < flash_over or not earliest_s <= times[i] <= latest_s:
            continue
        around = [*changes[max(1, i - _NEIGHBOURS) : i], *changes[i + 1 : i + 1 + _NEIGHBOURS]]
        if around and changes[i] < _STANDS_OUT * float(np.median(around)):
            continue
        later = min(i + _NEIGHBOURS, len(pictures) - 1)
        if difference(pictures[i - 1], pictures[later]) < CUT / 2:  # the same picture is back: it was a flash
            flash_over = later + 1
            continue
        cuts.append(i)
        earliest_s = times[i] + _SHORTEST_S
    return cuts


def find_changes(times: Sequence[float], changes: Sequence[float], duration_s: float) -> list[int]:
    """The same of pictures far apart, of which neighbours say nothing: there is another scene where a picture is quite another."""
    return [
        i
        for i in range(1, len(times))
        if changes[i] >= OTHER_SCENE and _SHORTEST_S <= times[i] <= duration_s - _SHORTEST_S
    ]


def describe(
    times: Sequence[float], pictures: Sequence[Thumbnail], cuts: Sequence[int], duration_s: float
) -> tuple[Scene, ...]:
    """Return the scenes between the cuts; the first starts at 0, the last ends at `duration_s`."""
    firsts = [0, *cuts]
    starts = [0.0, *(times[i] for i in cuts)]
    ends = [*starts[1:], duration_s]
    return tuple(
        _scene(start_s, end_s, times[first:last], np.stack(pictures[first:last]))
        for start_s, end_s, first, last in zip(starts, ends, firsts, [*firsts[1:], len(pictures)], strict=True)
    )


def _scene(start_s: float, end_s: float, times: Sequence[float], pictures: npt.NDArray[np.uint8]) -> Scene:
    rgb = pictures.reshape(len(pictures), -1, 3)  # (frames, pixels, 3)
    luma = rgb @ np.array([0.299, 0.587, 0.114], np.float32) / 255  # (frames, pixels)
    red, _, blue = rgb.mean((0, 1)) / 255
    brightest, darkest = rgb.max(2), rgb.min(2)
    chroma = float((brightest - darkest).mean()) / 255
    return Scene(
        start_s=start_s,
        end_s=end_s,
        brightness=_level(luma.mean()),
        # Both are sums over sums: dark pixels, whose hue is noise, weigh little. The constants pull black to neutral.
        saturation=_level(chroma / (float(brightest.mean()) / 255 + 0.02)),
        warmth=_level(0.5 + (red - blue) / (red + blue + 0.05)),
        motion=_motion(times, luma),
    )


def _motion(times: Sequence[float], luma: npt.NDArray[np.floating]) -> float:
    if len(times) < 2:
        return 0.0
    change = np.abs(np.diff(luma, axis=0)).mean(1).sum() / (times[-1] - times[0])
    return _level(1 - np.exp(-change / _LIVELY))


def _level(value: float) -> float:
    return float(np.clip(value, 0, 1))
