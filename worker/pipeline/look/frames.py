"""Decoding a picture once, frame by frame. Runs in the decoder's child process only."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from worker.domain import VIDEO_FORMATS
from worker.pipeline.look.footage import Footage
from worker.pipeline.look.media import MAX_SIDE, as_far_as_it_goes, open_media, packets, picture


def frames(path: Path, footage: Footage) -> Iterator[tuple[float, float, VideoFrame]]:
    """Decode the footage once and yield (start in seconds, duration in seconds, frame), in order of presentation.

    A frame at the very end of the duration is the last. What cannot be decoded is left out, so that a damaged video counts as far as it can be seen.
    """
    with open_media(path, VIDEO_FORMATS) as container:
        stream = picture(container)
        context = stream.codec_context
        context.thread_type = "AUTO"
        context.thread_count = 4  # whatever the machine: each costs memory
        context.skip_frame = footage.skip
        context.options = {"max_pixels": str(MAX_SIDE * MAX_SIDE)}  # the size may change in the middle of a stream
        tick_s = stream.time_base or Fraction(1, round(footage.fps))
        next_s = 0.0
        for frame in _decoded(container, stream, every_key=footage.every_key):
            # A flushed frame has lost its time base; the stream's is the same.
            at_s = next_s if frame.pts is None or not footage.timed else float(frame.pts * tick_s) - footage.start_s
            if at_s > footage.duration_s:
                return
            length_s = float(frame.duration * tick_s) or 1 / footage.fps
            next_s = at_s + length_s
            yield at_s, length_s, frame


def _decoded(container: InputContainer, stream: VideoStream, *, every_key: int | None) -> Iterator[VideoFrame]:
    keys = 0
    for packet in packets(container):
        if packet.stream_index != stream.index or not packet.size:
            continue
        if every_key is not None:
            # The decoder would skip the others itself, but not for nothing: each would go through its threads.
            keys += packet.is_keyframe
            if not packet.is_keyframe or (keys - 1) % every_key:
                continue
        with as_far_as_it_goes():
            yield from stream.decode(packet)
    with as_far_as_it_goes():
        yield from stream.decode(None)
