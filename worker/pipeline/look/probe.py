"""Measuring pictures and sounds. Runs in the decoder's child process only.

The truth is in the packets, never in a header: a container may claim any duration, or none at all. What can be decoded
is found out by decoding the first frame of each stream.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from worker.domain import AUDIO_FORMATS, VIDEO_FORMATS
from worker.errors import Rejected
from worker.pipeline.look.footage import Footage, Sound
from worker.pipeline.look.media import (
    as_far_as_it_goes,
    broken,
    check_size,
    open_media,
    packets,
    pictures,
    sounds,
)
from worker.pipeline.look.transport_clock import TransportClock
from worker.pipeline.look.walk import Walk

MAX_FPS = 240
AS_LONG_S = 0.5
"""A sound that ends so soon after the picture does not make the film longer: encoders end sound where its last block ends."""
MAX_ASPECT = 4
"""Of a pixel; no camera has more than 2, and what goes beyond is a mistake."""
_WEBM = b"\x42\x82\x84webm"
"""EBML's element of the document's type."""
_PROGRESSIVE = 1
"""libav's AVFieldOrder: 0 is unknown, all above are kinds of interlacing."""


def measure(path: Path, max_duration_s: float, asked_s: float | None = None) -> Footage:
    """Measure a video by walking its packets; one frame of each stream is decoded.

    With `asked_s` only the first seconds count: the walk stops there, and a longer video is welcome.
    Raises Rejected (not_a_video, no_video_stream, empty_file, broken_video, too_many_pixels, too_long).
    """
    allowed_s = max_duration_s if asked_s is None else min(asked_s, max_duration_s)
    with open_media(path, VIDEO_FORMATS) as container:
        clock = TransportClock()
        untimed = container.format.name == "avi"
        seen = [Walk(stream, untimed=untimed) for stream in pictures(container)]
        heard = [Walk(stream) for stream in sounds(container)]
        picture = _walk(container, clock, seen, heard, allowed_s)
        context = picture.stream.codec_context
        assert isinstance(context, av.VideoCodecContext)
        if min(context.width, context.height) <= 0:
            raise broken("its picture has no size")
        check_size(context.width, context.height)
        picture_s = picture.length_s
        found = tuple(_sound(walk, picture.span_s[0]) for walk in heard)
        duration_s = max((sound.end_s for sound in found if sound.decodes), default=0.0)
        if duration_s <= picture_s + AS_LONG_S:
            duration_s = picture_s
        if duration_s > max_duration_s and (asked_s is None or asked_s > max_duration_s):
            told_s = max(duration_s, (container.duration or 0) / av.time_base)
            raise Rejected(
                f"The video lasts {told_s:.1f} s, the limit is {max_duration_s:g} s; "
                f"send a shorter one, or ask for its first seconds with `duration`",
                code="too_long",
            )
        if picture.count > 1 + MAX_FPS * (picture_s + 2 * float(picture.tick)):  # containers round their times
            raise broken(f"it has more than {MAX_FPS} frames a second")
        footage = _footage(picture, context, min(duration_s, allowed_s), jumps=clock.jumped, found=found)
        return replace(footage, container=_kind(path, container))


def _kind(path: Path, container: InputContainer) -> Literal["mp4", "webm", ""]:
    """libav has one name for MP4 and MOV, and one for WebM and MKV."""
    if container.format.name.startswith("mov,"):
        return "" if container.metadata.get("major_brand", "qt  ") == "qt  " else "mp4"
    with path.open("rb") as file:
        return "webm" if _WEBM in file.read(256) else ""


def listen(path: Path) -> Sound:
    """Return the sound of a file that is to be heard, by its packets: libav's choice of those whose first frame decodes.

    Raises Rejected (not_audio).
    """
    sorry = "The audio file cannot be read as sound; send FLAC, WAV, MP3, M4A, AAC or Ogg"
    try:
        with open_media(path, AUDIO_FORMATS) as container:
            walks = {stream.index: Walk(stream) for stream in sounds(container)}
            for packet in packets(container, TransportClock()):
                if packet.stream_index in walks and packet.size:
                    walks[packet.stream_index].see(packet)
            for sound in [_sound(walk, walk.span_s[0]) for walk in walks.values()]:
                if sound.decodes and sound.end_s > 0:
                    return sound
    except Rejected as error:
        raise Rejected(sorry, code="not_audio") from error
    raise Rejected(sorry, code="not_audio")


def _walk(
    container: InputContainer, clock: TransportClock, seen: list[Walk], heard: list[Walk], allowed_s: float
) -> Walk:
    """Take the packets, up to somewhat behind what is allowed; return the picture that is the film."""
    walks = {walk.stream.index: walk for walk in [*heard, *seen]}
    for packet in packets(container, clock):
        walk = walks.get(packet.stream_index)
        if walk is None or not packet.size:
            continue
        walk.see(packet)
        # Frames may be stored out of order: what is asked for ends within the seconds after it.
        if walk is seen[0] and (walk.behind(allowed_s + 2) or walk.count > MAX_FPS * (allowed_s + 2)):
            walk.stopped = True
            break
    for walk in walks.values():
        walk.end()
    counted = [walk for walk in seen if walk.count]
    if not counted:
        raise broken("no frame of it is there; the upload may be incomplete")
    return next((walk for walk in counted if walk.frame is not None), counted[0])


def _sound(walk: Walk, first_s: float) -> Sound:
    """Describe a sound stream of a film that begins at `first_s` of the file's clock."""
    context = walk.stream.codec_context
    assert isinstance(context, av.AudioCodecContext)
    start_s, end_s = walk.span_s
    folds = False
    if isinstance(walk.frame, AudioFrame):
        with suppress(ValueError), as_far_as_it_goes():  # PyAV does not know some layouts
            folds = bool(AudioResampler(format="fltp", layout="stereo", rate=48_000).resample(walk.frame))
    streams = [stream.index for stream in walk.stream.container.streams.audio]
    return Sound(
        number=streams.index(walk.stream.index),
        codec=context.codec.canonical_name,
        layout=context.layout.name[:60],
        channels=context.layout.nb_channels,
        rate_hz=max(0, context.sample_rate),
        start_s=start_s - first_s,
        end_s=end_s - first_s,
        decodes=walk.frame is not None,
        folds=folds,
    )


def _footage(
    picture: Walk, context: av.VideoCodecContext, duration_s: float, *, jumps: bool, found: tuple[Sound, ...]
) -> Footage:
    frame = picture.frame if isinstance(picture.frame, VideoFrame) else None
    told = frame or context  # what the stream itself says goes before what its container says
    form = context.format
    assert isinstance(picture.stream, VideoStream)
    aspect = picture.stream.sample_aspect_ratio or Fraction(0)
    return Footage(
        stream=picture.stream.index,
        width=context.width,
        height=context.height,
        pixel_aspect=(aspect.numerator, aspect.denominator) if 1 / MAX_ASPECT <= aspect <= MAX_ASPECT else (1, 1),
        codec=context.codec.canonical_name,
        profile=context.profile or "",
        pixel_format=form.name if form else "",
        rgb=bool(form and form.is_rgb),
        interlaced=context.field_order > _PROGRESSIVE or bool(frame and frame.interlaced_frame),
        transfer=told.color_trc,
        primaries=told.color_primaries,
        matrix=told.colorspace,
        colour_range=told.color_range,
        decodes=frame is not None,
        start=picture.span[0],
        start_s=picture.span_s[0],
        hidden_s=picture.hidden_s,
        picture_s=min(picture.length_s, duration_s),
        duration_s=duration_s,
        fps=picture.rate,
        timed=picture.timed,
        pace=0 if picture.timed else picture.pace,
        jumps=jumps,
        keys=picture.keys,
        sounds=found,
    )
