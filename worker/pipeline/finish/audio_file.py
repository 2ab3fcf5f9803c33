"""Audio files: samples and tags into FLAC, WAV, MP3 or M4A, through PyAV."""

import json
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from worker.domain import Samples
from worker.errors import Rejected, Unavailable


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
        container="mp3", codec="libmp3lame", sample_format="fltp", content_type="audio/mpeg", bit_rate=256_000,
        rates=_MPEG_RATES, options=(("id3v2_version", "3"), ("write_xing", "1")),
    ),
    "m4a": FileFormat(
        container="ipod", codec="aac", sample_format="fltp", content_type="audio/mp4", bit_rate=256_000,
        rates=(*_MPEG_RATES, 88200, 96000), options=(("movflags", "+faststart+use_metadata_tags"),),
    ),
}  # fmt: skip
"""FLAC and WAV hold 16 bits, dithered, and decode to exactly as many samples as went in. MP3 and AAC work in frames of 1152 and 1024 samples:
the exact length is in the LAME tag and in the edit list, which players and libav honour; one that ignores them adds under 0.1 s."""


def write(samples: Samples, rate: int, format: str, tags: dict[str, str]) -> bytes:
    """The whole file. `samples` is (1 or 2, n), within ±1. Raises Rejected for a format or rate that cannot be written."""
    if format not in FORMATS:
        raise Rejected(f"Audio format {format!r} is unknown; use one of {', '.join(FORMATS)}.", code="bad_format")
    kind = FORMATS[format]
    if kind.rates and rate not in kind.rates:
        raise Rejected(f"{format} cannot hold {rate} Hz; use flac or wav.", code="bad_format")
    with tempfile.TemporaryDirectory(prefix="rhythmai-") as folder:  # "faststart" rewrites the file under its name
        path = Path(folder) / f"track.{format}"
        try:
            _encode(samples, rate, kind, path, tags)
        except av.FFmpegError as error:
            raise Unavailable(f"Writing {format} failed: {error}", code="encoder") from error
        return path.read_bytes()


def _encode(samples: Samples, rate: int, kind: FileFormat, path: Path, tags: dict[str, str]) -> None:
    layout = "stereo" if samples.shape[0] == 2 else "mono"
    with av.open(str(path), "w", format=kind.container, container_options=dict(kind.options)) as output:
        output.metadata.update({name: value for name, value in tags.items() if value})
        if kind.container == "wav":  # INFO chunks have no names of our own
            output.metadata["comment"] = json.dumps(tags, ensure_ascii=False)
        stream = output.add_stream(kind.codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = layout
        stream.format = kind.sample_format
        if kind.bit_rate:
            stream.bit_rate = kind.bit_rate
        whole: Samples | npt.NDArray[np.int16] = samples if kind.sample_format == "fltp" else _dithered(samples)
        for first in range(0, samples.shape[1], rate):
            part = whole[:, first : first + rate]
            rows = part if kind.sample_format == "fltp" else part.T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(rows.copy(), format=kind.sample_format, layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _dithered(samples: Samples) -> npt.NDArray[np.int16]:
    """16 bits with triangular dither of one step, the same every time; digital silence stays silent."""
    rng = np.random.default_rng(16)
    noise = rng.random(samples.shape, np.float32) - rng.random(samples.shape, np.float32)
    steps = np.round(samples * np.float32(32767) + np.where(samples == 0, np.float32(0), noise))
    return np.clip(steps, -32768, 32767).astype(np.int16)
