"""Idle workers over real connections: from an interactive insert to its claim, and what ten inserts a second cost Postgres."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack

import psutil

from bench.fleet_tree import ROOT, Tree, percentile, processor_s

WORKER = str(ROOT / "bench" / "fleet_worker.py")
EACH = 250
"""Workers of one process."""
INSERT = "insert into public.jobs (video_url, lane, tenant) values ('https://example.com/v.mp4', 'interactive', $1) returning id"
SECONDS = 10


async def measure(trees: list[Tree]) -> None:
    for workers in (10, 1000):
        for tree in trees:
            await fleet(tree, workers)


async def fleet(tree: Tree, workers: int) -> None:
    db = await tree.migrated()
    postgres = psutil.Process(tree.server.pid)
    claimed: dict[str, float] = {}
    inserted: dict[str, float] = {}

    async def hear(said: asyncio.StreamReader) -> None:
        async for line in said:
            job, at = line.decode().split()
            claimed[job] = float(at)

    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(tree.starts(WORKER, str(min(EACH, workers - first))))
            for first in range(0, workers, EACH)
        ]
        for process in processes:
            await process.stdout.readline()
        hearing = [asyncio.create_task(hear(process.stdout)) for process in processes]

        async def insert(pause_s: float) -> None:
            at = time.time() * 1000
            job = await db.fetchval(INSERT, f"t{random.random()}")
            inserted[str(job)] = at
            await asyncio.sleep(pause_s)

        await asyncio.sleep(6)
        idle = await cost(postgres, asyncio.sleep(SECONDS))
        for _ in range(40):
            await insert(random.uniform(0.3, 0.7))
        alone = waits(inserted, claimed)
        inserted.clear()

        async def ten_a_second() -> None:
            began = time.perf_counter()
            for number in range(10 * SECONDS):
                await insert(0)
                await asyncio.sleep(max(0, began + number / 10 - time.perf_counter()))

        busy = await cost(postgres, ten_a_second())
        await asyncio.sleep(2)
        crowd = waits(inserted, claimed)
        for task in hearing:
            task.cancel()
    await db.close()
    print(
        f"{workers} workers, {tree.name}: insert to claim p50 {percentile(alone, 0.5):.0f} ms, p99 {percentile(alone, 0.99):.0f} ms "
        f"({len(alone)} of 40 jobs, two a second); ten a second p50 {percentile(crowd, 0.5):.0f} ms, p99 {percentile(crowd, 0.99):.0f} ms "
        f"({len(crowd)} of {10 * SECONDS}); Postgres idle {idle:.0%}, ten inserts a second {busy:.0%} of a core",
        flush=True,
    )


def waits(inserted: dict[str, float], claimed: dict[str, float]) -> list[float]:
    return [claimed[job] - at for job, at in inserted.items() if job in claimed]


async def cost(postgres: psutil.Process, work) -> float:  # type: ignore[no-untyped-def]
    """The share of a core that Postgres takes meanwhile."""
    before, began = processor_s(postgres), time.perf_counter()
    await work
    return (processor_s(postgres) - before) / (time.perf_counter() - began)
