"""Decoding a picture once, frame by frame. Runs in the decoder's child process only."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from heapq import heappop, heappush
from pathlib import Path

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from worker.domain import VIDEO_FORMATS
from worker.pipeline.look.footage import Footage
from worker.pipeline.look.media import as_far_as_it_goes, open_media, packets, prepare
from worker.pipeline.look.transport_clock import TransportClock

GAP_S = 0.5
"""How far from its end a picture may stop and still count as whole."""


STANDING_S = 1.0
"""How often a frame that stands is told again."""


def frames(path: Path, footage: Footage) -> Iterator[tuple[float, float, VideoFrame]]:
    """Decode the footage once and yield (start in seconds, duration in seconds, frame), in order of presentation.

    A frame at the very end of the duration is the last. What cannot be decoded is left out, so that a damaged video counts as far as
    it can be seen; where sound goes on behind a whole picture, its last frame comes again every second and at the end.
    """
    shown: tuple[float, float, VideoFrame] | None = None
    for shown in _shown(path, footage):
        if shown[0] > footage.duration_s:
            return
        yield shown
    if shown is None or footage.duration_s <= footage.picture_s or shown[0] + shown[1] < footage.picture_s - GAP_S:
        return
    at_s = shown[0] + shown[1]
    while at_s < footage.duration_s:
        yield at_s, min(STANDING_S, footage.duration_s - at_s), shown[2]
        at_s += STANDING_S
    yield footage.duration_s, 0.0, shown[2]


def _shown(path: Path, footage: Footage) -> Iterator[tuple[float, float, VideoFrame]]:
    with open_media(path, VIDEO_FORMATS) as container:
        stream = container.streams[footage.stream]
        assert isinstance(stream, VideoStream)
        prepare(stream, threads=4)
        stream.codec_context.skip_frame = footage.skip
        tick = stream.time_base or Fraction(1, round(footage.fps))
        # Frames without a time have one of their packets': the n-th shown has the n-th of them.
        counted: list[int] = []
        next_s = 0.0
        for number, frame in enumerate(_decoded(container, stream, counted, every_key=footage.every_key)):
            if footage.timed:
                ticks = None if frame.pts is None else frame.pts - footage.start
            elif footage.pace:
                ticks = number * footage.pace
            else:
                ticks = heappop(counted) - footage.start if counted else None
            # A flushed frame has lost its time base; the stream's is the same. Only the exact difference is rounded.
            at_s = next_s if ticks is None else float(ticks * tick)
            length_s = (float(frame.duration * tick) if footage.timed else 0) or 1 / footage.fps
            next_s = at_s + length_s
            yield at_s, length_s, frame


def _decoded(
    container: InputContainer, stream: VideoStream, counted: list[int], *, every_key: int | None
) -> Iterator[VideoFrame]:
    keys = 0
    for packet in packets(container, TransportClock()):
        if packet.stream_index != stream.index or not packet.size:
            continue
        if every_key is not None:
            # The decoder would skip the others itself, but not for nothing: each would go through its threads.
            keys += packet.is_keyframe
            if not packet.is_keyframe or (keys - 1) % every_key:
                continue
        if packet.dts is not None and not packet.is_discard:
            heappush(counted, packet.dts)
        with as_far_as_it_goes():
            yield from stream.decode(packet)
    with as_far_as_it_goes():
        yield from stream.decode(None)
