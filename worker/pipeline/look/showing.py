"""Frames for an engine, resized in threads and sent in order. Runs in the decoder's child process only.

Each goes out once: how many slots of each view show it, then its picture for every view that does.
"""

from __future__ import annotations

import struct
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

import numpy as np
import torch
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from worker.domain import Pictures, View
from worker.pipeline.look.resize import resize

# Asked for now, by the warm process: a confined child cannot read what the processor can do, and would resize ten times as slowly.
torch.backends.cpu.get_cpu_capability()

NO_SLOTS = 4
"""Zero bytes for each view, where the next frame's slots would be: there is none."""
THREADS = 4
AHEAD = 4 * THREADS
"""Frames on their way through the threads, so that none of them waits."""


def send(shown: Iterable[tuple[tuple[int, ...], VideoFrame]], views: Sequence[View], out: BinaryIO) -> None:
    """Send the frames; waits while nobody takes them."""
    slots = struct.Struct(f"<{len(views)}I")
    converters = threading.local()

    def pictures(repeats: tuple[int, ...], frame: VideoFrame) -> list[Pictures]:
        if not hasattr(converters, "mine"):
            converters.mine = VideoReformatter()
        raw = torch.from_numpy(_rgb(converters.mine, frame)).permute(2, 0, 1)[None]
        return [resize(raw, view)[0].contiguous().numpy() for view, times in zip(views, repeats, strict=True) if times]

    def write_next() -> None:
        repeats, made = waiting.popleft()
        out.write(slots.pack(*repeats))
        out.writelines(picture.data for picture in made.result())

    waiting: deque[tuple[tuple[int, ...], Future[list[Pictures]]]] = deque()
    with ThreadPoolExecutor(THREADS) as threads:
        for repeats, frame in shown:
            waiting.append((repeats, threads.submit(pictures, repeats, frame)))
            if len(waiting) > AHEAD:
                write_next()
        while waiting:
            write_next()


def _rgb(converter: VideoReformatter, frame: VideoFrame) -> Pictures:
    """A view of the converted frame, (H, W, 3): a copy would take as long as half of the decoding."""
    plane = converter.reformat(frame, format="rgb24").planes[0]
    rows: Pictures = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : 3 * plane.width].reshape(plane.height, plane.width, 3)
