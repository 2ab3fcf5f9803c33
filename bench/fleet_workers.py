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
SECONDS = 15
FLEETS = {10: 3, 1000: 1}
"""Workers, and how often each tree has its turn with so many."""


async def measure(trees: list[Tree]) -> None:
    for workers, rounds in FLEETS.items():
        for tree in trees * rounds:
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

        async def insert(every_s: float) -> None:
            """One after the other for SECONDS, each at its moment, or later where the database does not keep up."""
            began = time.perf_counter()
            number = 0
            while (passed := time.perf_counter() - began) < SECONDS:
                at = time.time() * 1000
                inserted[str(await db.fetchval(INSERT, f"t{random.random()}"))] = at
                number = max(number + 1, int(passed / every_s))
                due = (number + random.uniform(-0.3, 0.3)) * every_s
                await asyncio.sleep(max(0, began + due - time.perf_counter()))

        await asyncio.sleep(45 if workers > EACH else 10)  # each has polled with what it knows of the fleet
        idle = await cost(postgres, asyncio.sleep(SECONDS))
        found = []
        for a_second in (3, 10):
            inserted.clear()
            share = await cost(postgres, insert(1 / a_second))
            await asyncio.sleep(2)
            took = waits(inserted, claimed)
            found.append(
                f"{a_second} inserts a second ({len(took)} of {len(inserted)} claimed): insert to claim p50 {percentile(took, 0.5):.0f} ms, "
                f"p99 {percentile(took, 0.99):.0f} ms, {share:.0%} of a core of Postgres"
            )
        for task in hearing:
            task.cancel()
    await db.close()
    print(f"{workers} workers, {tree.name}: idle {idle:.0%} of a core of Postgres; {'; '.join(found)}", flush=True)


def waits(inserted: dict[str, float], claimed: dict[str, float]) -> list[float]:
    return [claimed[job] - at for job, at in inserted.items() if job in claimed]


async def cost(postgres: psutil.Process, work) -> float:  # type: ignore[no-untyped-def]
    """The share of a core that Postgres takes meanwhile."""
    before, began = processor_s(postgres), time.perf_counter()
    await work
    return (processor_s(postgres) - before) / (time.perf_counter() - began)
