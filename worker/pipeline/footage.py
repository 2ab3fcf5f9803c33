"""Opening hostile media with PyAV and measuring it. Runs in the decoder's child process only.

The truth is in the packets, never in a header: a container may claim any duration, or none at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from worker.domain import AUDIO_FORMATS, PROTOCOLS, VIDEO_FORMATS
from worker.errors import Rejected
from worker.pipeline.signature import looks_like

Skip = Literal["DEFAULT", "NONREF", "NONKEY"]
MAX_SIDE = 4096
MAX_FPS = 240
MAX_PACKETS = 2_000_000
_LIGHT_PIXELS = 4e9
"""Up to this many pixels a video is decoded whole: about ten seconds of one core for H.264."""
_HEAVY_PIXELS = 60e9
"""Above this only key frames are decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """What a video stream measures."""

    width: int
    height: int
    codec: str
    start_s: float
    """Presentation time of the first frame; all other times count from it."""
    duration_s: float
    fps: float
    has_audio: bool
    timed: bool
    """Whether frames carry presentation times: AVI has none, its frames are counted."""

    @property
    def pixels(self) -> float:
        return self.width * self.height * self.fps * self.duration_s

    @property
    def light(self) -> bool:
        """Whether every frame can be afforded."""
        return self.pixels <= _LIGHT_PIXELS

    @property
    def skip(self) -> Skip:
        """libav's skip_frame: what is not decoded."""
        return "DEFAULT" if self.light or not self.timed else "NONREF" if self.pixels <= _HEAVY_PIXELS else "NONKEY"


def broken(why: str) -> Rejected:
    return Rejected(f"The video cannot be read: {why}; export it again, for example as H.264 MP4", code="broken_video")


@contextmanager
def open_media(path: Path, formats: str) -> Iterator[InputContainer]:
    """Open a local file in one of the formats. Raises Rejected (empty_file, not_a_video, broken_video)."""
    if path.stat().st_size == 0:
        raise Rejected("The file is empty; check that the upload was complete", code="empty_file")
    what, ours = looks_like(path)
    try:
        container = av.open(str(path), options={"protocol_whitelist": PROTOCOLS, "format_whitelist": formats})
    except (av.FFmpegError, ValueError) as error:
        if ours:
            raise broken(f"it begins like {what}, but the rest is missing or damaged") from error
        raise Rejected(
            f"The file is {what}, not a video; send MP4, MOV, WebM, MKV, AVI, TS, FLV or OGV", code="not_a_video"
        ) from error
    with container:
        yield container


def packets(container: InputContainer) -> Iterator[Packet[Stream]]:
    """Yield what can be read. A cut-off file ends where its bytes end. Raises Rejected for absurdly many packets."""
    with suppress(av.FFmpegError):
        for count, packet in enumerate(container.demux()):
            if count > MAX_PACKETS:
                raise broken(f"it has more than {MAX_PACKETS} packets")
            yield packet


def picture(container: InputContainer) -> VideoStream:
    """Return the first moving picture: cover art does not count. Raises Rejected."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise Rejected("The file has sound but no picture; send a video", code="no_video_stream")


def check_size(width: int, height: int) -> None:
    """Raises Rejected (too_many_pixels)."""
    if max(width, height) > MAX_SIDE:
        raise Rejected(
            f"The video is {width} x {height} pixels, the limit is {MAX_SIDE} x {MAX_SIDE}; send a smaller version",
            code="too_many_pixels",
        )


def measure(path: Path, max_duration_s: float, asked_s: float | None = None) -> Footage:
    """Measure the picture by walking the packets, without decoding them.

    With `asked_s` only the first seconds count: the walk stops there, and a longer video is welcome.
    Raises Rejected (not_a_video, no_video_stream, empty_file, broken_video, too_many_pixels, too_long).
    """
    allowed_s = max_duration_s if asked_s is None else min(asked_s, max_duration_s)
    with open_media(path, VIDEO_FORMATS) as container:
        stream = picture(container)
        context = stream.codec_context
        if context is None:  # PyAV's stubs do not say so
            raise broken("its codec is unknown")
        if min(context.width, context.height) <= 0:
            raise broken("its picture has no size")
        check_size(context.width, context.height)
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        count, start_s, end_s = 0, float("inf"), float("-inf")
        for packet in packets(container):
            if packet.stream_index != stream.index or packet.size == 0 or packet.is_discard:
                continue
            at_s = _time_s(packet)
            if at_s is None:  # no clock at all: frames are counted instead
                at_s = count / rate
            if (
                asked_s is not None and at_s - start_s > allowed_s + 1
            ):  # a second more, as frames may be stored out of order
                break
            count += 1
            start_s = min(start_s, at_s)
            end_s = max(end_s, at_s + (_duration_s(packet) or 1 / rate))
            if count > MAX_FPS * (allowed_s + 2) or end_s - start_s > allowed_s + 2:
                break
        if not count:
            raise broken("no frame of it is there; the upload may be incomplete")
        duration_s = end_s - start_s
        fps = count / duration_s
        if asked_s is None and duration_s > max_duration_s:
            told_s = max(duration_s, (container.duration or 0) / av.time_base)
            raise Rejected(
                f"The video lasts {told_s:.1f} s, the limit is {max_duration_s:g} s; "
                f"send a shorter one, or ask for its first seconds with `duration`",
                code="too_long",
            )
        if fps > MAX_FPS:
            raise broken(f"it has more than {MAX_FPS} frames a second")
        return Footage(
            width=context.width,
            height=context.height,
            codec=context.codec.canonical_name,
            start_s=start_s,
            duration_s=min(duration_s, allowed_s),
            fps=fps,
            has_audio=bool(container.streams.audio),
            timed=container.format.name != "avi",
        )


def _time_s(packet: Packet[Stream]) -> float | None:
    ticks = packet.pts if packet.pts is not None else packet.dts
    return None if ticks is None or not packet.time_base else float(ticks * packet.time_base)


def _duration_s(packet: Packet[Stream]) -> float:
    return float(packet.duration * packet.time_base) if packet.duration and packet.time_base else 0.0


def frames(path: Path, footage: Footage) -> Iterator[tuple[float, float, VideoFrame]]:
    """Decode the footage once and yield (start in seconds, duration in seconds, frame), in order of presentation.

    What cannot be decoded is left out, so that a damaged video counts as far as it can be seen.
    """
    with open_media(path, VIDEO_FORMATS) as container:
        stream = picture(container)
        context = stream.codec_context
        context.thread_type = "AUTO"
        context.thread_count = min(4, os.cpu_count() or 1)
        context.skip_frame = footage.skip
        context.options = {"max_pixels": str(MAX_SIDE * MAX_SIDE)}  # the size may change in the middle of a stream
        tick_s = stream.time_base or Fraction(1, round(footage.fps))
        next_s = 0.0
        for frame in _decoded(container, stream):
            # A flushed frame has lost its time base; the stream's is the same.
            at_s = next_s if frame.pts is None or not footage.timed else float(frame.pts * tick_s) - footage.start_s
            if at_s >= footage.duration_s:
                return
            length_s = float(frame.duration * tick_s) or 1 / footage.fps
            next_s = at_s + length_s
            yield at_s, length_s, frame


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    for packet in packets(container):
        if packet.stream_index == stream.index and packet.size:
            with suppress(av.FFmpegError):
                yield from stream.decode(packet)
    with suppress(av.FFmpegError):
        yield from stream.decode(None)


def listen(path: Path) -> float:
    """Return the length in seconds of the first sound stream, by its packets; its first frame must decode.

    Raises Rejected (not_audio).
    """
    sorry = "The audio file cannot be read as sound; send FLAC, WAV, MP3, M4A, AAC or Ogg"
    heard = False
    start_s, end_s = float("inf"), float("-inf")
    try:
        with open_media(path, AUDIO_FORMATS) as container:
            stream = next(iter(container.streams.audio), None)
            for packet in packets(container):
                if stream is None or packet.stream_index != stream.index or packet.size == 0:
                    continue
                if not heard:
                    with suppress(av.FFmpegError):
                        heard = bool(stream.decode(packet))
                if (at_s := _time_s(packet)) is not None:
                    start_s = min(start_s, at_s)
                    end_s = max(end_s, at_s + _duration_s(packet))
    except Rejected as error:
        raise Rejected(sorry, code="not_audio") from error
    if not heard or end_s <= start_s:
        raise Rejected(sorry, code="not_audio")
    return end_s - start_s
