"""Strangers' films, made with the ffmpeg program: what cameras, editors and recorders write."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg


def make(path: Path, *arguments: str | Path) -> Path:
    """Run ffmpeg with the arguments into the path."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments, path]
    subprocess.run(command, check=True)
    return path


def film(
    path: Path, *options: str, seconds: float = 2, rate: int = 25, sound: bool = True, shape: str = "96x64"
) -> Path:
    """Moving pictures as H.264, with B-frames, and a tone."""
    tone = ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}:sample_rate=48000", "-shortest"]
    coded = ["-c:v", "libx264", "-g", "25", "-pix_fmt", "yuv420p", *options]
    source = f"testsrc2=s={shape}:r={rate}:d={seconds}"
    return make(path, "-f", "lavfi", "-i", source, *(tone if sound else []), *coded)


def copy(source: Path, path: Path, *options: str) -> Path:
    """The same packets in another container."""
    return make(path, "-i", source, "-c", "copy", *options)


def one_picture(path: Path, seconds: float = 1) -> Path:
    """A still in Motion JPEG."""
    still = f"testsrc2=s=48x32:r={1 / seconds}:d={seconds}"
    return make(path, "-f", "lavfi", "-i", still, "-frames:v", "1", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p")
