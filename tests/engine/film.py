"""A film's frames as the engine gets them, decoded here instead of in a child."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import torch

from worker.domain import Clip, Frames, Options, Strip, View
from worker.engines.mmaudio.engine import MMAudioEngine
from worker.engines.mmaudio.features import VIEWS
from worker.pipeline.look.resize import resize
from worker.pipeline.look.selection import Selection


def decoded(path: Path) -> Iterator[tuple[float, torch.Tensor]]:
    """Times in seconds, and RGB (3, H, W)."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield (
                float(frame.pts * frame.time_base),
                torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1),
            )


def stretches(path: Path, duration_s: float, at_once: int = 10**9, views: tuple[View, ...] = VIEWS) -> Iterator[Frames]:
    """Of so many frames each."""
    selection = Selection(duration_s, [view.fps for view in views])
    chosen = [(slots, raw) for at_s, raw in decoded(path) if any(slots := selection.take(at_s))]
    for start in range(0, len(chosen), at_once):
        yield tuple(strip(chosen[start : start + at_once], i, view) for i, view in enumerate(views))


def strip(chosen: list[tuple[tuple[int, ...], torch.Tensor]], i: int, view: View) -> Strip:
    mine = [(slots[i], resize(raw[None], view)) for slots, raw in chosen if slots[i]]
    pictures = (
        torch.cat([made for _, made in mine]) if mine else torch.empty(0, 3, view.side, view.side, dtype=torch.uint8)
    )
    return Strip(pictures=pictures.contiguous().numpy(), repeats=np.array([count for count, _ in mine], np.int64))


def slots(frames: Frames) -> list[torch.Tensor]:
    """What every slot of each view shows, (slots, 3, side, side)."""
    return [torch.from_numpy(one.pictures.repeat(one.repeats, axis=0)) for one in frames]


def show(engine: MMAudioEngine, clip: Clip, options: Options | None = None, at_once: int = 20) -> None:
    """Have the engine watch the clip's file."""
    viewer = engine.prepare(clip, options or Options(), lambda: False)
    if viewer is not None:
        for frames in stretches(clip.path, clip.duration_s, at_once):
            viewer.see(frames)
        viewer.end()
