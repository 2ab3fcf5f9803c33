"""A child process for hostile media: little memory, little time, none of our secrets; it may die, the worker does not.

The decoder (`worker.pipeline.look.decoder`) and ffmpeg run through here.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from worker.errors import Rejected, Unavailable

_INHERITED = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
_TAIL_BYTES = 4096
NICE = 5
"""How far a child stands back for the worker itself."""
_THE_FILES_FAULT = {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGXCPU", "SIGXFSZ", "SIGSYS"}
_BOUND = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
os.nice(int(sys.argv[2]))
if os.getppid() == int(sys.argv[1]):  # else the worker died before we asked
    for name in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and would pass on so
        signal.signal(name, signal.SIG_DFL)
    os.execvp(sys.argv[3], sys.argv[3:])
"""
"""It is nice to the thread that feeds the engine. A worker that is killed takes its children along: each asks Linux for that itself, then becomes the command. (Between fork
and exec it cannot be asked: no code is safe there in a threaded process.)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a child may use. CPU time is the file's fault, wall time may be a busy machine's."""

    wall: timedelta = timedelta(minutes=5)
    cpu: timedelta = timedelta(minutes=5)
    memory_bytes: int = 4 * 2**30
    """Address space, of which Python with its libraries takes about one GB."""
    file_bytes: int = 0
    """The largest file it may write."""
    output_bytes: int = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a child ended by itself: its exit code, what it said, and the end of what it complained about."""

    code: int
    output: bytes
    complaints: str


async def run_child(
    command: Sequence[str], limits: Limits, *, task: str, environment: dict[str, str] | None = None
) -> Ended:
    """Run a command to its end and return its exit code and output; `task` begins the error sentences ("Looking at the video").

    Raises Rejected (broken_video) when the child crashes or exceeds CPU time or output, Unavailable (timeout, child_killed)
    when it runs past its wall time or somebody kills it. Cancelling kills the child and waits for it; on Linux
    the child dies with the worker, however that ends.
    """
    bound = [sys.executable, "-I", "-S", "-c", _BOUND, str(os.getpid()), str(NICE)] if sys.platform == "linux" else []
    process = await asyncio.create_subprocess_exec(
        *bound,
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=bare_environment() | (environment or {}),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        confine(process.pid, limits)
        async with asyncio.timeout(limits.wall.total_seconds()):
            output, complaints = await asyncio.gather(_head(process.stdout, limits.output_bytes), _tail(process.stderr))
            code = await process.wait()
    except TimeoutError:
        raise Unavailable(
            f"{task} took longer than {limits.wall.total_seconds():.0f} s; try again later", code="timeout"
        ) from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.communicate()  # drains the pipes, so that nothing stays open
    if code < 0:
        name = signal.Signals(-code).name
        if name in _THE_FILES_FAULT:
            raise Rejected(_unreadable(task, name), code="broken_video")
        raise Unavailable(f"{task} was stopped from outside ({name}); try again later", code="child_killed")
    if len(output) > limits.output_bytes:
        raise Rejected(_unreadable(task, "too much output"), code="broken_video")
    return Ended(code=code, output=output, complaints=complaints)


def _unreadable(task: str, why: str) -> str:
    return f"{task} failed for good ({why}): the file is damaged or too demanding; export it again, for example as H.264 MP4"


def bare_environment() -> dict[str, str]:
    """Where programs and libraries are, and nothing else of ours."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def confine(pid: int, limits: Limits) -> None:
    """Hold a process that has just been started to the limits."""
    # Set from outside, as code between fork and exec is not safe in a threaded process. Other systems than Linux
    # have no prlimit; they are for development.
    if not hasattr(resource, "prlimit"):
        return
    cpu_s = int(limits.cpu.total_seconds())
    with suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_CPU, (cpu_s, cpu_s + 5))
        resource.prlimit(pid, resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


async def _head(stream: asyncio.StreamReader, most: int) -> bytes:
    """Read to the end and keep a little more than `most` bytes."""
    kept = bytearray()
    while piece := await stream.read(2**16):
        if len(kept) <= most:
            kept += piece
    return bytes(kept)


async def _tail(stream: asyncio.StreamReader) -> str:
    """Read to the end and keep the last few lines."""
    kept = b""
    while piece := await stream.read(2**16):
        kept = (kept + piece)[-_TAIL_BYTES:]
    return kept.decode(errors="replace")
