"""What many who wait cost the one Postgres: this tree against an older one, in turns on one server. Prints the figures of bench/fleet.md.

    python bench/fleet.py --before DIR [--streams 900] [--seconds 20] [--rounds 2]

DIR holds the older code: `git archive 8e0073d | tar x -C DIR`. Each tree has a database with its own migrations, and an API of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg
import psutil

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from rhythmai.local.postgres import Postgres  # noqa: E402

BASELINE = "supabase_standin/baseline.sql"
ENVIRONMENT = {"SUPABASE_URL": "http://127.0.0.1:9", "SUPABASE_KEY": "k", "JWT_SECRET": "s" * 40, "API_PORT": "0"}
STREAMS_EACH = 10
"""Of one client; the clients are addresses of loopback."""


def processor_s(process: psutil.Process) -> float:
    """Of a process and its children, ended ones included."""
    times = [process.cpu_times(), *(child.cpu_times() for child in process.children(recursive=True))]
    return sum(one.user + one.system for one in times) + times[0].children_user + times[0].children_system


class Tree:
    """One state of the code at work: its database and its API."""

    def __init__(self, root: Path, server: Postgres, database: str) -> None:
        self.root, self._server, self._database = root, server, database
        self.url = server.url(database)

    async def migrated(self) -> asyncpg.Connection:
        admin = await asyncpg.connect(self._server.url())
        await admin.execute(f"create database {self._database}")
        await admin.close()
        db = await asyncpg.connect(self.url)
        for file in [self.root / BASELINE, *sorted((self.root / "supabase" / "migrations").glob("*.sql"))]:
            await db.execute(file.read_text())
        return db

    @asynccontextmanager
    async def api(self) -> AsyncIterator[tuple[str, psutil.Process]]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge_api", cwd=self.root, env=self._environment(),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            yield (await process.stdout.readline()).decode().split()[-1], psutil.Process(process.pid)
        finally:
            process.terminate()
            await process.wait()

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **ENVIRONMENT, "DATABASE_URL": self.url, "PYTHONPATH": str(self.root)}


async def quiet_streams(
    tree: Tree, db: asyncpg.Connection, server: psutil.Process, asked: argparse.Namespace
) -> tuple[float, float]:
    """Shares of a core that Postgres and the API spend on streams of jobs with which nothing happens."""
    jobs = [
        row[0]
        for row in await db.fetch(
            "insert into public.jobs (video_url, tenant) select 'https://example.com/v.mp4', 't' || i "
            "from generate_series(1, $1) i returning id",
            asked.streams,
        )
    ]
    async with tree.api() as (url, api), AsyncExitStack() as stack:
        for first in range(0, len(jobs), STREAMS_EACH):
            connector = aiohttp.TCPConnector(
                local_addr=(f"127.1.{first // 2500}.{first // STREAMS_EACH % 250 + 1}", 0), limit=0
            )
            client = await stack.enter_async_context(
                aiohttp.ClientSession(url, connector=connector, timeout=aiohttp.ClientTimeout(total=None))
            )
            for job in jobs[first : first + STREAMS_EACH]:
                answer = await stack.enter_async_context(client.get(f"/api/v1/job/{job}/events"))
                assert answer.status == 200, answer.status
        await asyncio.sleep(5)  # pauses have grown to what they stay at
        before = processor_s(server), processor_s(api)
        await asyncio.sleep(asked.seconds)
        spent = processor_s(server) - before[0], processor_s(api) - before[1]
    await db.execute("truncate public.jobs cascade")
    return spent[0] / asked.seconds, spent[1] / asked.seconds


BACKFILL = "insert into public.jobs (video_url, tenant) select 'https://example.com/v.mp4', 't' || i % 1000 from generate_series(1, $1) i"


async def backfilled(db: asyncpg.Connection) -> tuple[float, float, float]:
    """Seconds of an insert of 10,000 and of 100,000 jobs, and milliseconds of a sweep (median of eight) after 100,000 that were paused
    have missed their turns and are let go again."""
    taken = []
    for count in (10_000, 100_000):
        began = time.perf_counter()
        await db.execute(BACKFILL, count)
        taken.append(time.perf_counter() - began)
    await db.execute(
        "update public.jobs set run_at = 'infinity' where id in (select id from public.jobs order by seq limit 100000)"
    )
    worker = await db.fetchval("select queue.register('bench', '{generate}', '', '', '1 hour')")
    await db.execute("select queue.ready($1, '')", worker)
    for _ in range(200):
        await db.fetchval("select queue.claim($1, '1 hour')", worker)
    await db.execute("update public.jobs set run_at = null where run_at = 'infinity'")
    sweeps = []
    for _ in range(8):
        began = time.perf_counter()
        await db.fetchval("select queue.sweep()")
        sweeps.append(time.perf_counter() - began)
    await db.execute("truncate public.jobs cascade")
    return taken[0], taken[1], 1000 * statistics.median(sweeps)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--streams", type=int, default=900)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Postgres(Path(folder) / "data", password="fleet", careless=True)
        server.start()
        try:
            process = psutil.Process(server.pid)
            trees = {"before": Tree(asked.before.resolve(), server, "older"), "now": Tree(ROOT, server, "newer")}
            opened = {name: await tree.migrated() for name, tree in trees.items()}
            for name, db in opened.items():
                ten, hundred, sweep_ms = await backfilled(db)
                print(
                    f"{name}: 10,000 jobs in one insert {ten:.2f} s, 100,000 {hundred:.2f} s, a sweep after a pause {sweep_ms:.0f} ms",
                    flush=True,
                )
            shares: dict[str, list[tuple[float, float]]] = {name: [] for name in trees}
            for _ in range(asked.rounds):
                for name, tree in trees.items():
                    shares[name].append(await quiet_streams(tree, opened[name], process, asked))
            for name, found in shares.items():
                postgres, api = (statistics.median(column) for column in zip(*found, strict=True))
                print(
                    f"{asked.streams} quiet streams, {name}: {postgres:.1%} of a core of Postgres, {api:.1%} of the API's",
                    flush=True,
                )
            for db in opened.values():
                await db.close()
        finally:
            server.stop()


if __name__ == "__main__":
    asyncio.run(main())
