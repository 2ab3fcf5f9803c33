"""Decoded frames of a video file in presentation order, with their times: torchcodec on a GPU box, PyAV elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from worker.domain import PROTOCOLS, VIDEO_FORMATS
from worker.errors import Rejected

Pixels = npt.NDArray[np.uint8]
"""RGB, (H, W, 3)."""
Decoder = Literal["pyav", "torchcodec"]
WHITELISTS = {"format_whitelist": VIDEO_FORMATS, "protocol_whitelist": PROTOCOLS}
EIGHT_BITS = 8
MOST_THREADS = 4
"""Of one decoder: several films are decoded at once, and more threads cost more of the processor."""


def usual(device: str) -> Decoder:
    """torchcodec beside a GPU, where its FFmpeg libraries load; PyAV elsewhere. Both give the same frames."""
    if device != "cuda":
        return "pyav"
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        return "pyav"
    return "torchcodec"


class Shot(NamedTuple):
    """A decoded frame: its time and, on demand, its pixels."""

    time_s: float
    pixels: Callable[[], Pixels]


def _rgb(reformatter: Any, frame: Any) -> Pixels:
    """A view of the converted frame: a copy would take as long as half of the decoding."""
    plane = reformatter.reformat(frame, format="rgb24").planes[0]
    rows: Pixels = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : 3 * plane.width].reshape(plane.height, plane.width, 3)


def pyav_shots(path: Path) -> Iterator[Shot]:
    """All frames of the first video stream. Raises Rejected when the file is not a video we take."""
    import av
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()
    try:
        with av.open(str(path), options=WHITELISTS) as container:
            if not container.streams.video:
                raise Rejected("the file has no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = min(MOST_THREADS, os.cpu_count() or 1)
            for frame in container.decode(stream):
                if frame.pts is not None and frame.time_base is not None:
                    time_s = float(frame.pts * frame.time_base)
                    yield Shot(time_s, partial(_rgb, reformatter, frame))
    except av.error.FFmpegError as error:
        raise Rejected(f"the video cannot be decoded: {error.strerror or error}") from error


def torchcodec_shots(path: Path) -> Iterator[Shot]:
    """The same through torchcodec on the CPU. PyAV checks the container by its whitelists first, and decodes what the two read differently."""
    import av
    from torchcodec.decoders import VideoDecoder

    try:
        with av.open(str(path), options=WHITELISTS) as container:
            if not container.streams.video:
                raise Rejected("the file has no video stream")
            stream = container.streams.video[0]
            index, alike = stream.index, _alike(next(container.decode(stream), None))
        if not alike:
            yield from pyav_shots(path)
            return
        decoder = VideoDecoder(str(path), stream_index=index, dimension_order="NHWC", num_ffmpeg_threads=0)
        for i in range(len(decoder)):
            frame = decoder.get_frame_at(i)
            yield Shot(float(frame.pts_seconds), frame.data.numpy)
    except (av.error.FFmpegError, RuntimeError, ValueError) as error:
        raise Rejected(f"the video cannot be decoded: {error}") from error


def _alike(first: Any) -> bool:
    """Whether torchcodec gives PyAV's pixels: it turns rotated pictures, and converts more than eight bits differently."""
    if first is None or first.rotation:
        return False
    return all(component.bits == EIGHT_BITS for component in first.format.components)


def shots(path: Path, decoder: Decoder) -> Iterator[Shot]:
    return pyav_shots(path) if decoder == "pyav" else torchcodec_shots(path)
