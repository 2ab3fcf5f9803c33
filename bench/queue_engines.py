"""What a claim costs beside a great many jobs for an engine that the worker lacks. Prints a table.

python bench/queue_engines.py --jobs 100000 --claims 400
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bench.queue_measure import busy_us, quantile, timed  # noqa: E402
from rhythmai.local.postgres import Postgres  # noqa: E402
from supabase_standin import BASELINE  # noqa: E402

FOREIGN = "insert into public.jobs (video_url, tenant, engine) select 'https://v', 't' || i % 1000, 'acestep' from generate_series(1, $1::int) i"
OURS = "insert into public.jobs (video_url, tenant, engine) select 'https://v', 't' || i % 7, (array['', 'sketch', 'mmaudio'])[1 + i % 3] from generate_series(1, $1::int) i"
CLAIM, END = "select queue.claim($1, $2) ->> 'id'", "select queue.cancel($1::text::uuid)"
HOUR = timedelta(hours=1)
PLAIN_INDEX = (
    "drop index public.jobs_ready",
    "create index jobs_ready on public.jobs (kind, lane, priority desc, turn) where status = 'pending' and run_at is null",
)
WITHOUT, BESIDE, PLAIN = "no such jobs", "beside them", "beside them, engine not in the index"


async def laid(server: Postgres, name: str, foreign: int, ours: int) -> None:
    """A new database with its jobs."""
    root = await asyncpg.connect(server.url())
    await root.execute(f"create database {name}")
    await root.close()
    db = await asyncpg.connect(server.url(name))
    for file in [BASELINE, *sorted((ROOT / "supabase" / "migrations").glob("*.sql"))]:
        await db.execute(file.read_text())
    await db.execute(FOREIGN, foreign)
    await db.execute(OURS, ours)
    await db.close()


async def at_work(server: Postgres, name: str, *first: str) -> tuple[asyncpg.Connection, int]:
    """A connection to it, and a worker that has two engines."""
    db = await asyncpg.connect(server.url(name))
    for statement in (*first, "vacuum analyze public.jobs"):
        await db.execute(statement)
    worker = await db.fetchval("select queue.register('bench', '{generate}', '{sketch,mmaudio}', '', '1 day')")
    await db.execute("select queue.ready($1, '')", worker)
    return db, worker


async def run(jobs: int, claims: int) -> None:
    with TemporaryDirectory(prefix="rhythmai-bench-") as folder:
        server = Postgres(Path(folder) / "data", password="bench", careless=True)
        server.start()
        try:
            await laid(server, "a", 0, claims)
            await laid(server, "b", jobs, claims)
            root = await asyncpg.connect(server.url())
            await root.execute("create database c template b")
            await root.close()
            cases = {
                WITHOUT: await at_work(server, "a"),
                BESIDE: await at_work(server, "b"),
                PLAIN: await at_work(server, "c", *PLAIN_INDEX),
            }
            times: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
            empty: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
            for took, count in ((times, claims), (empty, claims // 4)):
                for _ in range(count):  # in turns
                    for name, (db, worker) in cases.items():
                        pid = db.get_server_pid()
                        before_us = busy_us(pid)
                        ms, job = await timed(lambda db=db, worker=worker: db.fetchval(CLAIM, worker, HOUR))  # type: ignore[misc]
                        took[name].append((ms, busy_us(pid) - before_us))
                        if job:
                            await db.execute(END, job)
            print(
                "| a claim | p50 (ms) | Postgres, p10 (ms) | finds nothing, p50 (ms) | Postgres, p10 (ms) |\n|---|---|---|---|---|"
            )
            for name in cases:
                cells: list[float] = []
                for took in (times, empty):
                    wall, busy = zip(*took[name], strict=True)
                    cells += [statistics.median(wall), quantile(list(busy), 0.1) / 1000]
                print(f"| {name} | {' | '.join(f'{value:.2f}' for value in cells)} |")
            for db, _ in cases.values():
                await db.close()
        finally:
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--claims", type=int, default=400)
    given = parser.parse_args()
    asyncio.run(run(given.jobs, given.claims))


if __name__ == "__main__":
    main()
