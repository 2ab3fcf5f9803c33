"""Twenty minutes of heartbeats while somebody holds a snapshot: what a beat takes in the first minute and in the last."""

from __future__ import annotations

import asyncio
import random
import time

import asyncpg

from bench.fleet_tree import Tree, percentile

WORKERS = 100
EVERY_S = 1.5
MINUTES = 20
BEAT = "select job_id, attempt, verdict from queue.beat($1, $2, $3)"
"""As worker/heartbeat.py sends it."""


async def measure(trees: list[Tree]) -> None:
    await asyncio.gather(*(beaten(tree) for tree in trees))


async def beaten(tree: Tree) -> None:
    db = await tree.migrated()
    workers = [
        await db.fetchval("select queue.register($1, '{generate}', '', '', '30 seconds')", f"worker {number}")
        for number in range(WORKERS)
    ]
    for worker in workers:
        await db.execute("select queue.ready($1, '')", worker)
    holder = await asyncpg.connect(tree.url)
    await holder.execute("begin isolation level repeatable read")
    await holder.fetchval("select count(*) from public.workers")
    size = await db.fetchval("select pg_relation_size('public.workers')")
    took_ms: list[list[float]] = [[] for _ in range(MINUTES)]
    connections = [await asyncpg.connect(tree.url) for _ in workers]
    for connection, worker in zip(connections, workers, strict=True):
        await connection.fetch(BEAT, worker, [], [])  # prepares the statement
    began = time.perf_counter()

    async def beat(connection: asyncpg.Connection, worker: int) -> None:
        await asyncio.sleep(random.uniform(0, EVERY_S))
        while (minute := int((time.perf_counter() - began) / 60)) < MINUTES:
            asked = time.perf_counter()
            answer = await connection.fetch(BEAT, worker, [], [])
            took_ms[minute].append(1000 * (time.perf_counter() - asked))
            assert not answer, answer
            await asyncio.sleep(EVERY_S)
        await connection.close()

    await asyncio.gather(*map(beat, connections, workers))
    await db.fetchval("select pg_stat_force_next_flush()")
    dead = await db.fetchval("select n_dead_tup from pg_stat_user_tables where relname = 'workers'")
    grown = await db.fetchval("select pg_relation_size('public.workers')")
    for name, minute in (("first", took_ms[0]), ("middle", took_ms[MINUTES // 2]), ("last", took_ms[-1])):
        print(
            f"{tree.name}: a beat in the {name} minute p50 {percentile(minute, 0.5):.2f} ms, p99 {percentile(minute, 0.99):.2f} ms ({len(minute)} beats)"
        )
    print(
        f"{tree.name}: {dead} dead versions, the table {size // 1024} kB before and {grown // 1024} kB after",
        flush=True,
    )
    await holder.close()
    await db.close()
