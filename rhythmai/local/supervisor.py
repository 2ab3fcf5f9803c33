"""One child process: kept alive, listened to, and stopped with everything it started."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

SHORTEST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
STEADY_S: Final = 30.0
"""A child that lived this long starts over with the shortest pause."""
GRACE_S: Final = (5.0, 10.0)
"""After the first and the second SIGTERM; then the child is killed."""
LOG_BYTES: Final = 5 * 2**20
MISCONFIGURED: Final = 2
"""The exit code of a child that can never work as it is set up."""


class Child:
    """A program that is started again, after a pause that grows, whenever it ends by itself."""

    def __init__(
        self,
        name: str,
        command: tuple[str, ...],
        environment: Mapping[str, str],
        *,
        logs: Path,
        echo: Callable[[str, str], None] | None = None,
        started: Callable[[str, int], None] | None = None,
        grace_s: tuple[float, ...] = GRACE_S,
    ) -> None:
        """Lines of output go to `logs/name.log` and to `echo(name, line)`; `started(name, pid)` is told of every start."""
        self.name = name
        self.log = logs / f"{name}.log"
        self.failures = 0
        """How often in a row it ended before it was steady."""
        self.hopeless = False
        """Whether it said that it cannot work as it is set up."""
        self.last_lines: deque[str] = deque(maxlen=20)
        self._command = command
        self._environment = dict(environment)
        self._echo = echo
        self._started = started
        self._grace_s = grace_s
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None]
        self._keeper: asyncio.Task[None] | None = None
        self._file = RotatingFileHandler(self.log, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8", delay=True)

    async def start(self) -> None:
        """Start the program and keep it alive from here on."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Ask the program to end, ask again, kill it; whatever it started ends with it."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if process := self._process:
            for grace_s in self._grace_s:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(process.wait()), grace_s)
                    break
            kill_group(process.pid)
            await process.wait()
            await self._listening
        self._file.close()

    async def _spawn(self) -> None:
        # A session of its own: Ctrl-C in the terminal reaches us alone, and we stop the children in order.
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._listening = asyncio.create_task(self._listen(self._process))
        if self._started:
            self._started(self.name, self._process.pid)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause_s = SHORTEST_PAUSE_S
        while True:
            born = loop.time()
            process = self._process
            assert process is not None
            code = await process.wait()
            kill_group(process.pid)  # its own children hold the pipe open
            await asyncio.shield(self._listening)
            if loop.time() - born > STEADY_S:
                pause_s, self.failures = SHORTEST_PAUSE_S, 0
            self.failures += 1
            self.hopeless = code == MISCONFIGURED
            self._tell(f"ended with code {code}; it starts again in {pause_s:g} s")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            await self._spawn()

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        rest = b""
        while chunk := await process.stdout.read(2**16):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._hear(line)
        if rest:
            self._hear(rest)

    def _hear(self, raw: bytes) -> None:
        line = raw.decode(errors="replace").rstrip()
        self.last_lines.append(line)
        self._tell(line)

    def _tell(self, line: str) -> None:
        self._file.emit(logging.makeLogRecord({"msg": line}))
        if self._echo:
            self._echo(self.name, line)


def kill_group(pid: int) -> None:
    """Kill what is left of a session that we started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
