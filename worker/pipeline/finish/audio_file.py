"""Audio files: samples and tags into FLAC, WAV or M4A through PyAV, into MP3 through ffmpeg."""

import json
import subprocess
import tempfile
from dataclasses import dataclass, replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import numpy.typing as npt

from worker.domain import FULL, Samples, Steps
from worker.errors import Rejected, Unavailable
from worker.pipeline.finish.complaints import in_words


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    container: str
    codec: str
    sample_format: str
    content_type: str
    bit_rate: int | None = None
    rates: tuple[int, ...] = ()
    """Sample rates the codec takes; empty means all."""
    options: tuple[tuple[str, str], ...] = ()


_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

FORMATS: dict[str, FileFormat] = {
    "flac": FileFormat(container="flac", codec="flac", sample_format="s16", content_type="audio/flac"),
    "wav": FileFormat(container="wav", codec="pcm_s16le", sample_format="s16", content_type="audio/wav"),
    "mp3": FileFormat(
        container="mp3", codec="libmp3lame", sample_format="fltp", content_type="audio/mpeg", bit_rate=320_000,
        rates=_MPEG_RATES, options=(("compression_level", "7"), ("id3v2_version", "3")),
    ),
    "m4a": FileFormat(
        container="ipod", codec="aac", sample_format="fltp", content_type="audio/mp4", bit_rate=320_000,
        rates=(*_MPEG_RATES, 88200, 96000), options=(("aac_coder", "fast"), ("aac_pns", "0"), ("aac_is", "0")),
    ),
}  # fmt: skip
"""FLAC and WAV hold 16 bits, dithered, and decode to exactly as many samples as went in. MP3 and AAC work in frames of 1152 and 1024 samples:
the exact length is in the LAME tag and in the edit list, which players and libav honour; one that ignores them adds under 0.1 s.
Their quick ways of coding with 320 kbit/s leave less noise than the thorough ones with 256 (bench/pipeline.md)."""
LOSSY = frozenset(name for name, kind in FORMATS.items() if kind.bit_rate)


def write(
    samples: Samples | Steps, rate: int, format: str, tags: dict[str, str], *, bit_rate: int | None = None
) -> bytes:
    """The whole file. `samples` is (1 or 2, n), within ±1 or in steps. Raises Rejected for a format or rate that cannot be written."""
    if format not in FORMATS:
        raise Rejected(f"Audio format {format!r} is unknown; use one of {', '.join(FORMATS)}.", code="bad_format")
    kind = replace(FORMATS[format], bit_rate=bit_rate or FORMATS[format].bit_rate)
    if kind.rates and rate not in kind.rates:
        raise Rejected(f"{format} cannot hold {rate} Hz; use flac or wav.", code="bad_format")
    tags = {name: text.replace("\0", "") for name, text in tags.items() if text}
    comment, own = "", b""
    if format == "wav":  # INFO chunks have no names of our own
        comment = json.dumps(tags, ensure_ascii=False)
    elif format == "m4a":  # what libav cannot write: a comment keeps its place, so that nothing moves afterwards
        own = _own_tags(tags)
        comment = "\x1a" * (len(own) - len(_comment("")))
    given = tags | ({"comment": comment} if comment else {})
    whole = floats(samples) if kind.sample_format == "fltp" else dithered(samples)
    with tempfile.TemporaryDirectory(prefix="rhythmai-") as folder:  # lengths and the index are written last, in front
        path = Path(folder) / f"track.{format}"
        try:
            (_encode_outside if format == "mp3" else encode)(whole, rate, kind, path, given)
        except (av.FFmpegError, OSError) as error:
            raise Unavailable(f"Writing {format} failed: {error}", code="encoder") from error
        return path.read_bytes().replace(_comment(comment), own, 1 if own else 0)


def encode(
    whole: Samples | Steps | npt.NDArray[np.int32],
    rate: int,
    kind: FileFormat,
    file: Path | BytesIO,
    tags: dict[str, str],
) -> None:
    """Write samples, (1 or 2, n), which are in the kind's sample format; of 32 bits FLAC keeps the upper 24."""
    layout = "stereo" if whole.shape[0] == 2 else "mono"
    with av.open(file, "w", format=kind.container, container_options={"movflags": "+faststart"}) as output:
        output.metadata.update(tags)
        stream = output.add_stream(kind.codec, rate=rate, options=dict(kind.options))
        assert isinstance(stream, av.AudioStream)
        stream.layout = layout
        stream.format = kind.sample_format
        if kind.bit_rate:
            stream.bit_rate = kind.bit_rate
        for first in range(0, whole.shape[1], rate):
            part = whole[:, first : first + rate]
            rows = part if kind.sample_format == "fltp" else part.T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(rows.copy(), format=kind.sample_format, layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _encode_outside(samples: Samples | Steps, rate: int, kind: FileFormat, path: Path, tags: dict[str, str]) -> None:
    """The same by the program ffmpeg, whose LAME takes 0.4 of the time that PyAV's takes."""
    given = ["-f", "f32le", "-ar", str(rate), "-ac", str(len(samples)), "-i", "pipe:0"]
    named = [word for name, text in tags.items() for word in ("-metadata", f"{name}={text}")]
    asked = [word for name, value in kind.options for word in (f"-{name}", value)]
    coded = ["-c:a", kind.codec, "-b:a", str(kind.bit_rate), *asked, *named, "-f", kind.container, str(path)]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", *given, *coded]
    ended = subprocess.run(command, input=floats(samples).T.tobytes(), env={}, stderr=subprocess.PIPE, check=False)
    if ended.returncode:
        raise OSError(in_words(ended.stderr.decode(errors="replace")))


def _own_tags(tags: dict[str, str]) -> bytes:
    """Tags that MP4 has no names for, as free-form atoms of iTunes, which libav reads by their names, too."""
    mean = _atom(b"mean", bytes(4), b"com.apple.iTunes")
    theirs = {"title", "copyright"}
    named = (
        (_atom(b"name", bytes(4), name.encode()), _text(text)) for name, text in tags.items() if name not in theirs
    )
    return b"".join(_atom(b"----", mean, name, text) for name, text in named)


def _comment(text: str) -> bytes:
    return _atom(b"\xa9cmt", _text(text))


def _text(text: str) -> bytes:
    return _atom(b"data", b"\0\0\0\1", bytes(4), text.encode())  # 1 is UTF-8


def _atom(name: bytes, *parts: bytes) -> bytes:
    return (8 + sum(map(len, parts))).to_bytes(4, "big") + name + b"".join(parts)


def floats(samples: Samples | Steps) -> Samples:
    """What `dithered` makes steps of; steps are divided, floats left as they are."""
    return np.asarray(samples / FULL if samples.dtype == np.int16 else samples, np.float32)


def dithered(samples: Samples | Steps) -> Steps:
    """16 bits with triangular dither of one step, the same every time; digital silence stays silent, and steps stay as they are."""
    if samples.dtype == np.int16:
        return samples.astype(np.int16, copy=False)
    rng = np.random.default_rng(16)
    noise = rng.random(samples.shape, np.float32) - rng.random(samples.shape, np.float32)
    steps = np.round(samples * FULL + np.where(samples == 0, np.float32(0), noise))
    return np.clip(steps, -32768, 32767).astype(np.int16)
