"""How long inserts of many jobs take, and the sweep after they were paused."""

from __future__ import annotations

import statistics
import time

import asyncpg

from bench.fleet_tree import Tree

BACKFILL = "insert into public.jobs (video_url, tenant) select 'https://example.com/v.mp4', 't' || i % 1000 from generate_series(1, $1) i"


async def measure(trees: list[Tree]) -> None:
    for tree in trees:
        db = await tree.migrated()
        ten, hundred, sweep_ms = await backfilled(db)
        print(
            f"{tree.name}: 10,000 jobs in one insert {ten:.2f} s, 100,000 {hundred:.2f} s, a sweep after a pause {sweep_ms:.0f} ms"
        )
        await db.close()


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
    worker = await db.fetchval("select queue.register('bench', '{generate}', '{}', '', '1 hour')")
    await db.execute("select queue.ready($1, '')", worker)
    for _ in range(200):
        await db.fetchval("select queue.claim($1, '1 hour')", worker)
    await db.execute("update public.jobs set run_at = null where run_at = 'infinity'")
    sweeps = []
    for _ in range(8):
        began = time.perf_counter()
        await db.fetchval("select queue.sweep()")
        sweeps.append(time.perf_counter() - began)
    return taken[0], taken[1], 1000 * statistics.median(sweeps)
