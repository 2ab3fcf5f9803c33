"""A program in a terminal of its own."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import termios
from collections.abc import Mapping
from typing import Self

TOO_LONG_S = 120
"""Nothing is timed here: this only keeps a line that never comes from being waited for without end."""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """`await shows(pattern)` waits until that was written since the last time, or `ever`; `said` is all of it, as a person reads it."""

    @classmethod
    async def start(
        cls,
        *command: object,
        environment: Mapping[str, str],
        columns: int = 80,
        cwd: object = None,
        stdout: int | None = None,
    ) -> Self:
        """`stdout` may go elsewhere, as in `x=$(command)`."""
        terminal = cls()
        terminal._own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        told = {name: value for name, value in environment.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
        terminal.process = await asyncio.create_subprocess_exec(
            *map(str, command), stdin=theirs, stdout=theirs if stdout is None else stdout, stderr=theirs,
            env=told | {"TERM": "xterm"}, cwd=cwd, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        terminal._raw, terminal._seen, terminal._over, terminal._more = b"", 0, False, asyncio.Event()
        asyncio.get_running_loop().add_reader(terminal._own, terminal._read)
        return terminal

    @property
    def said(self) -> str:
        return CONTROL.sub("", self._raw.decode(errors="replace")).replace("\r\n", "\n").replace("\r", "\n")

    def _read(self) -> None:
        try:
            self._raw += os.read(self._own, 2**16)
        except OSError:  # how a terminal ends
            asyncio.get_running_loop().remove_reader(self._own)
            self._over = True
        self._more.set()

    async def shows(self, pattern: str, *, ever: bool = False) -> re.Match[str]:
        async with asyncio.timeout(TOO_LONG_S):
            while not (found := re.compile(pattern).search(self.said, 0 if ever else self._seen)):
                assert not self._over, f"It never showed {pattern}:\n{self.said}"
                await self._wait()
        self._seen = max(self._seen, found.end())
        return found

    async def end(self, number: int = signal.SIGINT) -> int:
        """Interrupt it, and return its exit code."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        """Read to the end and return the exit code."""
        async with asyncio.timeout(TOO_LONG_S):
            while not self._over:
                await self._wait()
            await self.process.wait()
        os.close(self._own)
        return self.process.returncode

    async def _wait(self) -> None:
        self._more.clear()
        await self._more.wait()
