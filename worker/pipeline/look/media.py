"""Opening hostile media with PyAV. Runs in the decoder's child process only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from worker.domain import AUDIO_FORMATS, FACTS, PROTOCOLS
from worker.errors import Rejected
from worker.pipeline.look.answers import LONGEST_FACT
from worker.pipeline.look.signature import looks_like
from worker.pipeline.look.transport_clock import TransportClock

MAX_SIDE = 4096
MAX_PACKETS = 2_000_000
MAX_STREAMS = 64
"""Of a kind; what is beyond does not count."""
_NO_FILM = Disposition.attached_pic | Disposition.timed_thumbnails
NO_MEMORY = (MemoryError, av.BlockingIOError)
"""How libav says that memory ran out (its own MemoryError is a Python one, too), and that there is none for a thread."""


def broken(why: str) -> Rejected:
    return Rejected(f"The video cannot be read: {why}; export it again, for example as H.264 MP4", code="broken_video")


@contextmanager
def as_far_as_it_goes() -> Iterator[None]:
    """Damage ends here, quietly. Memory that runs out is no damage."""
    try:
        yield
    except NO_MEMORY:
        raise
    except (
        av.FFmpegError,
        IndexError,
    ):  # PyAV trips over streams that appear while it reads; what came before them is fine
        pass


@contextmanager
def open_media(path: Path, formats: str) -> Iterator[InputContainer]:
    """Open a local file in one of the formats. Raises Rejected (empty_file, not_a_video, broken_video)."""
    if path.stat().st_size == 0:
        raise Rejected("The file is empty; check that the upload was complete", code="empty_file")
    what, ours = looks_like(path)
    options = {"protocol_whitelist": PROTOCOLS, "format_whitelist": formats}
    try:
        container = av.open(str(path), options=options)
    except NO_MEMORY:
        raise
    except (av.FFmpegError, ValueError) as error:
        if ours:
            raise broken(f"it begins like {what}, but the rest is missing or damaged") from error
        what = what or _other_format(path, options)
        takes = "MP4, MOV, WebM, MKV, AVI, TS, FLV or OGV"
        raise Rejected(f"The file is {what}, which we do not take; send {takes}", code="not_a_video") from error
    with container:
        yield container


def told(path: Path) -> dict[str, str]:
    """What a file of ours says in its tags of where it comes from; of what no file of ours would say, nothing. Raises Rejected."""
    with open_media(path, AUDIO_FORMATS) as container:
        tags: dict[str, object] = {**container.metadata}
        for stream in container.streams:
            tags |= stream.metadata
    with suppress(ValueError, TypeError):  # where a format has no names of our own
        tags |= json.loads(str(tags["comment"])) if "comment" in tags else {}
    return {name: str(tags[name])[:LONGEST_FACT] for name in FACTS if name in tags}


def _other_format(path: Path, options: dict[str, str]) -> str:
    """What libav would take the file for, were it allowed to; only its log tells."""
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as told, av.open(str(path), options=options):
            pass
    except (av.FFmpegError, ValueError):
        if not any("low score" in words for _, _, words in told):
            for _, name, words in told:
                if words.startswith("Format not on whitelist"):
                    return f"of the format {av.ContainerFormat(name).long_name}"
    finally:
        av.logging.set_level(None)
    return "of an unknown format"


def packets(container: InputContainer, clock: TransportClock) -> Iterator[Packet[Stream]]:
    """Yield what can be read. A cut-off file ends where its bytes end. Raises Rejected for absurdly many packets."""
    jumpy = container.format.name == "mpegts"
    with as_far_as_it_goes():
        for count, packet in enumerate(container.demux()):
            if count > MAX_PACKETS:
                raise broken(f"it has more than {MAX_PACKETS} packets")
            if jumpy:
                clock.mend(packet)
            yield packet


def pictures(container: InputContainer) -> list[VideoStream]:
    """Return the moving pictures that may be decoded, libav's choice first: cover art does not count. Raises Rejected."""
    best = container.streams.best("video")
    moving = [stream for stream in container.streams.video if not stream.disposition & _NO_FILM]
    if not moving:
        raise Rejected("The file has sound but no picture; send a video", code="no_video_stream")
    known = [stream for stream in moving if stream.codec_context is not None]  # PyAV's stubs do not say so
    if not known:
        raise broken("its codec is unknown")
    known = sorted(known, key=lambda stream: (stream is not best, not stream.disposition & Disposition.default))
    for stream in known[:MAX_STREAMS]:
        prepare(stream, threads=1)
    return known[:MAX_STREAMS]


def sounds(container: InputContainer) -> list[AudioStream]:
    """Return the sounds that may be decoded, libav's choice first."""
    best = container.streams.best("audio")
    known = [stream for stream in container.streams.audio if stream.codec_context is not None]
    return sorted(known, key=lambda stream: stream is not best)[:MAX_STREAMS]


def prepare(stream: VideoStream, *, threads: int) -> None:
    """Set how a picture is decoded, before it is."""
    context = stream.codec_context
    context.thread_type = "AUTO"
    context.thread_count = threads  # whatever the machine: each costs memory
    context.options = {"max_pixels": str(MAX_SIDE * MAX_SIDE)}  # the size may change in the middle of a stream


def check_size(width: int, height: int) -> None:
    """Raises Rejected (too_many_pixels)."""
    if max(width, height) > MAX_SIDE:
        raise Rejected(
            f"The video is {width} x {height} pixels, the limit is {MAX_SIDE} x {MAX_SIDE}; send a smaller version",
            code="too_many_pixels",
        )
