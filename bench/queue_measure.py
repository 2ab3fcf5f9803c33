"""What is measured of a queue: needs nothing but asyncpg, so that peers can be measured in their own environments."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

CLAIMS_UNDER_SNAPSHOT = 10_000
JOBS_A_SECOND = 2_000


def quantile(times: list[float], q: float) -> float:
    return sorted(times)[min(int(len(times) * q), len(times) - 1)]


async def timed(act: Callable[[], Awaitable[Any]]) -> tuple[float, Any]:
    """(milliseconds, answer)."""
    start = time.perf_counter()
    answer = await act()
    return (time.perf_counter() - start) * 1000, answer


async def claims(system: Any, count: int) -> list[float]:
    """Claim and complete, one after the other; the milliseconds of each claim."""
    times = []
    for _ in range(count):
        ms, job = await timed(system.claim)
        assert job is not None
        await system.done(job)
        times.append(ms)
    return times


async def a_second(kind: Callable[[str], Any], url: str, consumers: int) -> float:
    """Jobs claimed and completed in a second by so many consumers, each with a connection of its own."""
    systems = [kind(url) for _ in range(consumers)]
    for system in systems:
        await system.open()
    start = time.perf_counter()
    await asyncio.gather(*(claims(system, JOBS_A_SECOND // consumers) for system in systems))
    passed = time.perf_counter() - start
    for system in systems:
        await system.close()
    return JOBS_A_SECOND / passed


async def measure(kind: Callable[[str], Any], url: str, *, finished: int, pending: int) -> dict[str, float]:
    """All figures of one system, in an empty database at `url`; times in milliseconds."""
    db = await asyncpg.connect(url)
    await kind(url).lay(db, finished, pending)
    system = kind(url)
    await system.open()
    await db.execute("vacuum analyze")
    await claims(system, 200)
    figures: dict[str, float] = {}
    times = await claims(system, 1000)
    figures["claim p50"], figures["claim p99"] = quantile(times, 0.5), quantile(times, 0.99)
    figures["jobs/s, 1 consumer"] = await a_second(kind, url, 1)
    figures["jobs/s, 4 consumers"] = await a_second(kind, url, 4)
    await db.execute("vacuum analyze")
    figures["insert of 10,000"] = min([(await timed(lambda: db.execute(system.backfill)))[0] for _ in range(3)])

    await db.execute("vacuum analyze")
    await claims(system, 200)
    holder = await asyncpg.connect(url)
    snapshot = holder.transaction(isolation="repeatable_read")
    await snapshot.start()
    await holder.execute("select count(*) from pg_class")
    first = await claims(system, 300)
    await claims(system, CLAIMS_UNDER_SNAPSHOT - 600)
    last = await claims(system, 300)
    await snapshot.rollback()
    await holder.close()
    figures["snapshot: first claims"], figures["snapshot: after 10,000"] = quantile(first, 0.5), quantile(last, 0.5)
    figures["round trip"] = quantile([(await timed(lambda: db.fetchval("select 1")))[0] for _ in range(500)], 0.5)
    await system.close()
    await db.close()
    return figures


def serve(figures: dict[str, float]) -> None:
    """Hand the figures over to bench/queues.py."""
    print(json.dumps(figures))
