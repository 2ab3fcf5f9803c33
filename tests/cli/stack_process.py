"""The console script as a person starts it, for the tests of the local stack."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from pathlib import Path

import psutil

from tests.warm.start import warm

TOO_LONG_S = 120
"""Nothing is timed here: this only keeps a lost line from being waited for without end."""
READY = "stack.ready"
RHYTHMAI = (sys.executable, "-m", "rhythmai")
WITHOUT_EXTRAS = """
import runpy, sys
from rhythmai.project.extras import BRINGS
sys.modules |= dict.fromkeys(set().union(*BRINGS.values()))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
BASE = (sys.executable, "-c", WITHOUT_EXTRAS, "rhythmai")
"""The same without what only extras bring."""


def clean_environment(**more: str) -> dict[str, str]:
    """Without what would point the stack elsewhere. One thread each: two that wait for each other on shared cores take five times as long."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_DATA_HOME", "PYTHONPATH", "OMP_NUM_THREADS")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONUNBUFFERED": "1"} | more


async def call(
    *arguments: str | Path, cwd: Path, program: tuple[str, ...] | None = None, **environment: str
) -> tuple[int, str, str]:
    """Run `rhythmai ...` to its end: (exit code, stdout, stderr)."""
    program = program or warm("rhythmai")
    process = await asyncio.create_subprocess_exec(
        *program, *map(str, arguments), cwd=cwd, env=clean_environment(**environment),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


class Up:
    """A running `rhythmai up`."""

    def __init__(self, process: asyncio.subprocess.Process):
        self.process = process
        self.said: list[str] = []

    @classmethod
    async def start(
        cls,
        data: Path,
        port: int,
        db_port: int,
        *more: str | Path,
        program: tuple[str, ...] | None = None,
        **environment: str,
    ) -> Up:
        """Start it and wait until it says that it runs."""
        up = cls(
            await asyncio.create_subprocess_exec(
                *(program or warm("rhythmai")), "up", "--data", str(data), "--port", str(port), "--db-port", str(db_port), *map(str, more),
                cwd=data.parent, env=clean_environment(**environment),
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )
        )  # fmt: skip
        await up.line(READY)
        return up

    async def line(self, pattern: str) -> re.Match[str]:
        """Wait for a line that has it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TOO_LONG_S):
                async for raw in self.process.stdout:
                    self.said.append(raw.decode())
                    if found := re.search(pattern, self.said[-1]):
                        return found
        raise AssertionError(f"It never said {pattern}:\n{''.join(self.said)}")

    def family(self) -> list[psutil.Process]:
        """Every process that belongs to it, Postgres, which is no child, included."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        data = self.process_arguments()[self.process_arguments().index("--data") + 1]
        postgres = [p for p in psutil.process_iter(["cmdline"]) if data in " ".join(p.info["cmdline"] or ())]
        return children + [p for p in postgres if p.pid != self.process.pid]

    def process_arguments(self) -> list[str]:
        return psutil.Process(self.process.pid).cmdline()

    async def stop(self, number: int) -> int:
        """Send a signal, read to the end, and return the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        self.said.append((await self.process.stdout.read()).decode())
        return await self.process.wait()
