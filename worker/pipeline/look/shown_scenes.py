"""The scenes of a film that is shown to an engine: of a demanding one nobody else looks at more than key frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from worker.domain import Frames, Scene, View
from worker.pipeline.look import scenes

SIDE = 32
"""Of the pictures that are compared: columns are averaged, and as many rows taken."""


class ShownScenes:
    """Sees the frames of the view that has most of them. Cuts are known to half a slot."""

    def __init__(self, views: Sequence[View]) -> None:
        self._view = max(range(len(views)), key=lambda place: views[place].fps)
        self._fps, side = views[self._view].fps, views[self._view].side
        self._block = max(1, side // SIDE)
        self._count = side // self._block
        self._slot = 0
        self._times: list[float] = []
        self._pictures: list[scenes.Thumbnail] = []
        self._changes: list[float] = []

    def see(self, frames: Frames) -> None:
        """Take the next stretch."""
        strip, block, count = frames[self._view], self._block, self._count
        rows = strip.pictures[:, :, : count * block : block, : count * block]  # (n, 3, count, count * block)
        small = rows.reshape(len(rows), 3, count, count, block).mean(axis=4).astype(np.uint8).transpose(0, 2, 3, 1)
        for picture, repeats in zip(small, strip.repeats, strict=True):
            self._slot += int(repeats)
            self._times.append(
                (self._slot - 0.5) / self._fps
            )  # it was the first at or behind the last slot that it fills
            self._changes.append(scenes.difference(self._pictures[-1], picture) if self._pictures else 0.0)
            self._pictures.append(picture)

    def scenes(self, duration_s: float) -> tuple[Scene, ...]:
        """Of all that was seen; none where nothing was."""
        if not self._pictures:
            return ()
        cuts = scenes.find_cuts(self._times, self._pictures, self._changes, duration_s)
        return scenes.describe(self._times, self._pictures, cuts, duration_s)
