"""A child process for hostile media: little memory, little time, its own file and nothing else; it may die, the worker does not.

The decoder (`worker.pipeline.look.decoder`) and ffmpeg run through here. On Linux children are forked from a warm process
(`worker.pipeline.look.zygote`); elsewhere, where one develops, they are started one by one and not confined.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

from worker.errors import Rejected, Unavailable
from worker.pipeline.look.confinement import bare_environment
from worker.pipeline.look.warm_process import ENVIRONMENT, PYTHON, WARM
from worker.pipeline.look.zygote import STATUS, Order

_TAIL_BYTES = 4096
NICE = 5
"""How far a child stands back for the worker itself."""
_THE_FILES_FAULT = {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGXCPU", "SIGXFSZ", "SIGSYS"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a child may use. CPU time is the file's fault, wall time may be a busy machine's."""

    wall: timedelta = timedelta(minutes=5)
    cpu: timedelta = timedelta(minutes=5)
    memory_bytes: int = 4 * 2**30
    """Address space, on top of what is mapped when the child begins: Python, libraries, torch."""
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
    arguments: Sequence[str],
    limits: Limits,
    *,
    task: str,
    module: str | None = None,
    reads: Sequence[Path] = (),
    writes: Sequence[Path] = (),
    out: IO[bytes] | None = None,
    nice: int = NICE,
) -> Ended:
    """Run a command, or the `main(arguments)` of a module that the warm process has loaded; return its exit code and output.

    `task` begins the error sentences ("Looking at the video"). The child may read `reads` and installed libraries, and write `writes`,
    which have to exist. What it prints goes to `out` as it comes, if that is given. An exception that leaves `main` is exit code 1, its traceback the end of the complaints.
    Raises Rejected (broken_video) when the child crashes or exceeds CPU time or output, Unavailable (timeout, child_killed)
    when it runs past its wall time, somebody kills it or the warm process dies. Cancelling kills the child and waits for it;
    on Linux the child dies with the worker, however that ends.
    """
    order = Order(
        module=module,
        arguments=arguments,
        reads=_absolute(reads),
        writes=_absolute(writes),
        nice=nice,
        cpu_s=int(limits.cpu.total_seconds()),
        memory_bytes=limits.memory_bytes,
        file_bytes=limits.file_bytes,
    )
    run = _forked if sys.platform == "linux" else _spawned
    try:
        async with asyncio.timeout(limits.wall.total_seconds()):
            code, output, complaints = await run(order, limits, out)
    except TimeoutError:
        raise Unavailable(
            f"{task} took longer than {limits.wall.total_seconds():.0f} s; try again later", code="timeout"
        ) from None
    if code is None:
        raise Unavailable(f"{task} was stopped with the process that started it; try again later", code="child_killed")
    if code < 0:
        name = signal.Signals(-code).name
        if name in _THE_FILES_FAULT:
            raise Rejected(_unreadable(task, name), code="broken_video")
        raise Unavailable(f"{task} was stopped from outside ({name}); try again later", code="child_killed")
    if len(output) > limits.output_bytes:
        raise Rejected(_unreadable(task, "too much output"), code="broken_video")
    return Ended(code=code, output=output, complaints=complaints)


def _absolute(paths: Sequence[Path]) -> list[str]:
    return [str(path.absolute()) for path in paths]


def _unreadable(task: str, why: str) -> str:
    return f"{task} failed for good ({why}): the file is damaged or too demanding; export it again, for example as H.264 MP4"


async def _forked(order: Order, limits: Limits, out: IO[bytes] | None) -> tuple[int | None, bytes, str]:
    """A child of the warm process; no exit code if that died."""
    receive = asyncio.get_running_loop().sock_recv
    with ExitStack() as stack:
        pairs = [[stack.enter_context(end) for end in socket.socketpair()] for _ in range(3)]
        (said, _), (complained, _), (cord, _) = pairs
        said_by = pairs[0][1] if out is None else out
        WARM.order(order, [said_by, *(theirs for _, theirs in pairs[1:])])
        for ours, theirs in pairs:
            ours.setblocking(False)
            theirs.close()
        status = b""
        try:
            output, complaints = await asyncio.gather(_head(said, limits.output_bytes), _tail(complained))
            status = await receive(cord, STATUS.size)
        finally:
            cord.shutdown(socket.SHUT_WR)  # what still runs is killed
            status = status or await receive(cord, STATUS.size)
    return os.waitstatus_to_exitcode(*STATUS.unpack(status)) if status else None, output, complaints


async def _spawned(order: Order, limits: Limits, out: IO[bytes] | None) -> tuple[int | None, bytes, str]:
    command = order.arguments if order.module is None else (*PYTHON, order.module, *order.arguments)
    environment = bare_environment() | ({} if order.module is None else ENVIRONMENT)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=out or PIPE, stderr=PIPE, env=environment
    )
    try:
        output, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output or b"", complaints[-_TAIL_BYTES:].decode(errors="replace")


async def _head(line: socket.socket, most: int) -> bytes:
    """Read to the end and keep a little more than `most` bytes."""
    kept = bytearray()
    while piece := await asyncio.get_running_loop().sock_recv(line, 2**16):
        if len(kept) <= most:
            kept += piece
    return bytes(kept)


async def _tail(line: socket.socket) -> str:
    """Read to the end and keep the last few lines."""
    kept = b""
    while piece := await asyncio.get_running_loop().sock_recv(line, 2**16):
        kept = (kept + piece)[-_TAIL_BYTES:]
    return kept.decode(errors="replace")
