"""A child process for hostile media: little memory, little time, its own file and nothing else; it may die, the worker does not.

The decoder (`worker.pipeline.look.decoder`) and ffmpeg run through here. On Linux children are forked from a warm process
(`worker.pipeline.look.zygote`); elsewhere, where one develops, they are started one by one and not confined.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

import worker
from worker.errors import Rejected, Unavailable
from worker.pipeline.look.confinement import bare_environment as bare_environment  # noqa: PLC0414
from worker.pipeline.look.zygote import STATUS, Order

log = structlog.get_logger()
DECODER = "worker.pipeline.look.decoder"
_TAIL_BYTES = 4096
NICE = 5
"""How far a child stands back for the worker itself."""
_THE_FILES_FAULT = {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGXCPU", "SIGXFSZ", "SIGSYS"}
# -P: the folder of a stranger's file is no place to import from; -B: nothing is written.
_PYTHON = (sys.executable, "-P", "-B", "-s", "-m")
_ENVIRONMENT = {
    "PYTHONPATH": str(Path(worker.__file__).parents[1]),
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


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


class WarmProcess:
    """The zygote as the worker holds it: started when it is first needed or by `open`, and again after it died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._modules: tuple[str, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None
        self._door: socket.socket | None = None

    def need(self, module: str) -> None:
        """What it is to load besides the decoder, from its next start on. One that runs without it ends, and its children with it."""
        with self._lock:
            if module not in self._modules:
                self._end()
                self._modules += (module,)

    def open(self) -> None:
        """Start it before it is needed; does not wait for it."""
        with self._lock:
            if self._door is None:
                self._start()

    def order(self, order: Order, sockets: Sequence[socket.socket]) -> None:
        """Have a child forked. Raises Unavailable."""
        with self._lock:
            for _ in range(2):
                door = self._door or self._start()
                with suppress(BrokenPipeError, ConnectionResetError):
                    socket.send_fds(door, [order.packed()], [line.fileno() for line in sockets])
                    return
                log.warning("zygote.died", code=self._end())
        raise Unavailable("The process that starts decoders does not live; try again later", code="decoder_failed")

    def close(self) -> None:
        """End it and all its children."""
        with self._lock:
            self._end()

    def _start(self) -> socket.socket:
        door, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._process = subprocess.Popen(
                [
                    *_PYTHON,
                    "worker.pipeline.look.zygote",
                    str(other.fileno()),
                    str(os.getpid()),
                    DECODER,
                    *self._modules,
                ],
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
                env=bare_environment() | _ENVIRONMENT,
                start_new_session=True,  # a terminal's Ctrl-C is for the worker, which drains
            )
        self._door = door
        atexit.register(self.close)
        return door

    def _end(self) -> int | None:
        if self._door is None or self._process is None:
            return None
        self._door.close()
        self._door = None
        self._process.kill()  # it may be loading still
        return self._process.wait()


WARM = WarmProcess()
"""One for the whole process, as multiprocessing has one fork server."""


async def run_child(
    command: Sequence[str], limits: Limits, *, task: str, reads: Sequence[Path] = (), writes: Sequence[Path] = ()
) -> Ended:
    """Run a command to its end and return its exit code and output; `task` begins the error sentences ("Looking at the video").

    It may read `reads` and the system's programs and libraries, and write `writes`, which have to exist.
    Raises Rejected (broken_video) when the child crashes or exceeds CPU time or output, Unavailable (timeout, child_killed)
    when it runs past its wall time or somebody kills it. Cancelling kills the child and waits for it; on Linux
    the child dies with the worker, however that ends.
    """
    return await _run(None, command, limits, task, reads, writes)


async def run_task(
    module: str,
    arguments: Sequence[str],
    limits: Limits,
    *,
    task: str,
    reads: Sequence[Path] = (),
    writes: Sequence[Path] = (),
) -> Ended:
    """Run `main(arguments)` of a module in a child that has it loaded already; the rest is as for `run_child`.

    Its exit code is 0, or 1 after an exception, whose traceback ends the complaints.
    """
    return await _run(module, arguments, limits, task, reads, writes)


async def _run(
    module: str | None,
    arguments: Sequence[str],
    limits: Limits,
    task: str,
    reads: Sequence[Path],
    writes: Sequence[Path],
) -> Ended:
    order = Order(
        module=module,
        arguments=arguments,
        reads=_absolute(reads),
        writes=_absolute(writes),
        nice=NICE,
        cpu_s=int(limits.cpu.total_seconds()),
        memory_bytes=limits.memory_bytes,
        file_bytes=limits.file_bytes,
    )
    run = _forked if sys.platform == "linux" else _spawned
    try:
        async with asyncio.timeout(limits.wall.total_seconds()):
            code, output, complaints = await run(order, limits)
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


async def _forked(order: Order, limits: Limits) -> tuple[int | None, bytes, str]:
    """A child of the warm process; no exit code if that died."""
    pairs = [socket.socketpair() for _ in range(3)]
    lines = [await asyncio.open_connection(sock=ours) for ours, _ in pairs]
    (said, _), (complained, _), (status, cord) = lines
    try:
        try:
            WARM.order(order, [theirs for _, theirs in pairs])
        finally:
            for _, theirs in pairs:
                theirs.close()
        output, complaints = await asyncio.gather(_head(said, limits.output_bytes), _tail(complained))
        end = await status.read()
    finally:
        cord.write_eof()  # what still runs is killed
        try:
            await status.read()
        finally:
            for _, line in lines:
                line.close()
    return os.waitstatus_to_exitcode(*STATUS.unpack(end)) if end else None, output, complaints


async def _spawned(order: Order, limits: Limits) -> tuple[int | None, bytes, str]:
    command = order.arguments if order.module is None else (*_PYTHON, order.module, *order.arguments)
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=bare_environment() | ({} if order.module is None else _ENVIRONMENT),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        output, complaints = await asyncio.gather(_head(process.stdout, limits.output_bytes), _tail(process.stderr))
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return process.returncode, output, complaints


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
