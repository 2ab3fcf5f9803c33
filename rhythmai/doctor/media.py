"""FFmpeg: the program that merges, the libraries that decode and encode, and what holds them where they open strangers' files."""

from __future__ import annotations

import asyncio
from typing import Final

import av
import imageio_ffmpeg
from av.codec.codec import UnknownCodecError

from rhythmai.doctor.finding import Finding, fail, note, ok
from worker.pipeline.look import confinement
from worker.settings import Settings

CHECK: Final = "ffmpeg"
CONFINED: Final = "confinement"
ALONE: Final = "Use a kernel with Landlock (Linux 5.13 or newer) and seccomp, or give the worker a machine of its own"
ENCODERS: Final = ("flac", "aac", "libmp3lame", "pcm_s16le")
REINSTALL: Final = "Install it again: pip install --force-reinstall imageio-ffmpeg av"


async def examine(settings: Settings) -> list[Finding]:
    lacks = [note(CONFINED, said, ALONE) for said in confinement.missing()]
    return [await _ffmpeg(), *(lacks or [ok(CONFINED, "children that open films see nothing else, and no network")])]


async def _ffmpeg() -> Finding:
    try:
        program = await asyncio.to_thread(imageio_ffmpeg.get_ffmpeg_exe)
        process = await asyncio.create_subprocess_exec(
            program, "-version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        said, _ = await process.communicate()
    except (OSError, RuntimeError) as error:
        return fail(CHECK, f"FFmpeg does not run: {error}", REINSTALL)
    if process.returncode:
        return fail(CHECK, f"{program} ends with code {process.returncode}", REINSTALL)
    if missing := [name for name in ENCODERS if not _encodes(name)]:
        return fail(CHECK, f"PyAV {av.__version__} cannot write {', '.join(missing)}", REINSTALL)
    version = said.decode(errors="replace").split(" ")[2]
    return ok(CHECK, f"FFmpeg {version}, PyAV {av.__version__}")


def _encodes(name: str) -> bool:
    try:
        return bool(av.Codec(name, "w").is_encoder)
    except UnknownCodecError:
        return False
