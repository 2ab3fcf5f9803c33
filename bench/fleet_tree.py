"""One state of the code at work: its own database on a server that the trees share, its API."""

from __future__ import annotations

import asyncio
import math
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import psutil

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from rhythmai.local import postgres  # noqa: E402

BASELINE = "supabase_standin/baseline.sql"
ENVIRONMENT = {"SUPABASE_URL": "http://127.0.0.1:9", "SUPABASE_KEY": "k", "JWT_SECRET": "s" * 40, "API_PORT": "0"}


def processor_s(process: psutil.Process) -> float:
    """Of a process and its children, ended ones included."""
    times = [process.cpu_times()]
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has ended, and is counted with its parent
            times.append(child.cpu_times())
    return sum(one.user + one.system for one in times) + times[0].children_user + times[0].children_system


def percentile(values: list[float], share: float) -> float:
    """Not a number where there is none."""
    ordered = sorted(values) or [math.nan]
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@contextmanager
def server() -> Iterator[postgres.Postgres]:
    """An embedded Postgres without fsync, for thousands of connections."""
    postgres.SETTINGS["max_connections"] = "5000"
    with TemporaryDirectory() as folder:
        running = postgres.Postgres(Path(folder) / "data", password="fleet", careless=True)
        running.start()
        try:
            yield running
        finally:
            running.stop()


class Tree:
    """One state of the code at work."""

    def __init__(self, name: str, root: Path, running: postgres.Postgres) -> None:
        self.name, self.root, self.server = name, root, running
        self.url = running.url(name)

    async def migrated(self) -> asyncpg.Connection:
        """Make the database anew; answers with a connection to it."""
        admin = await asyncpg.connect(self.server.url())
        await admin.execute(f"drop database if exists {self.name} with (force)")
        await admin.execute(f"create database {self.name}")
        await admin.close()
        db = await asyncpg.connect(self.url)
        for file in [self.root / BASELINE, *sorted((self.root / "supabase" / "migrations").glob("*.sql"))]:
            await db.execute(file.read_text())
        return db

    @asynccontextmanager
    async def starts(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A Python program over this tree."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=self.root, env=self._environment(),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            await process.wait()

    @asynccontextmanager
    async def runs(self, *arguments: str) -> AsyncIterator[tuple[str, psutil.Process]]:
        """The same, with the last word of the first line that it says."""
        async with self.starts(*arguments) as process:
            assert process.stdout is not None
            yield (await process.stdout.readline()).decode().split()[-1], psutil.Process(process.pid)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **ENVIRONMENT, "DATABASE_URL": self.url, "PYTHONPATH": str(self.root)}
