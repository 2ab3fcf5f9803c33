"""Measuring pictures and sounds without decoding them. Runs in the decoder's child process only.

The truth is in the packets, never in a header: a container may claim any duration, or none at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

import av
from av.packet import Packet
from av.stream import Stream

from worker.domain import AUDIO_FORMATS, VIDEO_FORMATS
from worker.errors import Rejected
from worker.pipeline.look.media import as_far_as_it_goes, broken, check_size, open_media, packets, picture

Skip = Literal["DEFAULT", "NONREF", "NONKEY"]
MAX_FPS = 240
_LIGHT_PIXELS = 4e9
"""Up to this many pixels a video is decoded whole: about ten seconds of one core for H.264."""
_HEAVY_PIXELS = 60e9
"""Above this only key frames are decoded."""
_GLANCE_PIXELS = 0.3e9
"""Up to this a video is looked at in well under a second: there is nothing to hurry."""
_GLANCED_KEYS = 64
"""The most key frames of a glance: two seconds of one core for 1080p."""


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
    keys: int
    """Key frames, which can be decoded without the others."""
    glanced: bool = False
    followed: bool = False
    """Whether an engine wants to see every frame, whatever it takes."""

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
        if self.glanced:
            return "NONKEY"
        if self.followed:
            return "DEFAULT"
        return "DEFAULT" if self.light or not self.timed else "NONREF" if self.pixels <= _HEAVY_PIXELS else "NONKEY"

    @property
    def every_key(self) -> int | None:
        """Of which key frames every how many-th is decoded; None for all frames."""
        if self.skip != "NONKEY":
            return None
        return -(-self.keys // _GLANCED_KEYS) if self.glanced else 1

    def glance(self, stills: int) -> Self:
        """The same footage, to be seen by its key frames alone where that saves time and shows as much as so many stills."""
        hurry = self.timed and self.keys >= stills and self.pixels > _GLANCE_PIXELS
        return replace(self, glanced=True) if hurry else self


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
        count, keys, start_s, end_s = 0, 0, float("inf"), float("-inf")
        for packet in packets(container):
            if packet.stream_index != stream.index or packet.size == 0 or packet.is_discard:
                continue
            at_s = _time_s(packet)
            if at_s is None:  # no clock at all: frames are counted instead
                at_s = count / rate
            # Frames may be stored out of order: what is asked for ends within the second after it.
            if asked_s is not None and at_s - start_s > allowed_s + 1:
                break
            count += 1
            keys += packet.is_keyframe
            start_s = min(start_s, at_s)
            end_s = max(end_s, at_s + (_duration_s(packet) or 1 / rate))
            if count > MAX_FPS * (allowed_s + 2) or end_s - start_s > allowed_s + 2:
                break
        if not count:
            raise broken("no frame of it is there; the upload may be incomplete")
        duration_s = end_s - start_s
        fps = count / duration_s
        if duration_s > max_duration_s and (asked_s is None or asked_s > max_duration_s):
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
            keys=keys,
        )


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
                    with as_far_as_it_goes():
                        heard = bool(stream.decode(packet))
                if (at_s := _time_s(packet)) is not None:
                    start_s = min(start_s, at_s)
                    end_s = max(end_s, at_s + _duration_s(packet))
    except Rejected as error:
        raise Rejected(sorry, code="not_audio") from error
    if not heard or end_s <= start_s:
        raise Rejected(sorry, code="not_audio")
    return end_s - start_s


def _time_s(packet: Packet[Stream]) -> float | None:
    ticks = packet.pts if packet.pts is not None else packet.dts
    return None if ticks is None or not packet.time_base else float(ticks * packet.time_base)


def _duration_s(packet: Packet[Stream]) -> float:
    return float(packet.duration * packet.time_base) if packet.duration and packet.time_base else 0.0
