"""Twenty minutes of heartbeats while somebody holds a snapshot: what a beat takes in the first minute and in the last."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import asyncpg

from bench.fleet_tree import Tree, percentile

WORKERS = 100
EVERY_S = 1.5
MINUTES = 20
BEAT = "select job_id, attempt, verdict from queue.beat($1, $2, $3)"
"""As worker/heartbeat.py sends it."""
NOTHING = "select 1"
"""What any question takes at this moment on this machine."""


async def measure(trees: list[Tree]) -> None:
    await asyncio.gather(*(beaten(tree) for tree in trees))


def ran_ms(connections: list[asyncpg.Connection]) -> float:
    """How long the processes behind these connections have run in all."""
    pids = [connection.get_server_pid() for connection in connections]
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e6


async def beaten(tree: Tree) -> None:
    db = await tree.migrated()
    workers = [
        await db.fetchval("select queue.register($1, '{generate}', '{}', '', '30 seconds')", f"worker {number}")
        for number in range(WORKERS)
    ]
    for worker in workers:
        await db.execute("select queue.ready($1, '')", worker)
    holder = await asyncpg.connect(tree.url)
    await holder.execute("begin isolation level repeatable read")
    await holder.fetchval("select count(*) from public.workers")
    size = await db.fetchval("select pg_relation_size('public.workers')")
    connections = [await asyncpg.connect(tree.url) for _ in workers]
    for connection, worker in zip(connections, workers, strict=True):
        await connection.fetch(BEAT, worker, [], [])  # prepares the statement
        await connection.fetchval(NOTHING)
    took_ms: list[list[float]] = [[] for _ in range(MINUTES)]
    nothing_ms: list[list[float]] = [[] for _ in range(MINUTES)]
    spent_ms = [ran_ms(connections)]
    began = time.perf_counter()

    async def beat(connection: asyncpg.Connection, worker: int) -> None:
        await asyncio.sleep(random.uniform(0, EVERY_S))
        while (minute := int((time.perf_counter() - began) / 60)) < MINUTES:
            if minute == len(spent_ms):
                spent_ms.append(ran_ms(connections))
            asked = time.perf_counter()
            answer = await connection.fetch(BEAT, worker, [], [])
            answered = time.perf_counter()
            await connection.fetchval(NOTHING)
            took_ms[minute].append(1000 * (answered - asked))
            nothing_ms[minute].append(1000 * (time.perf_counter() - answered))
            assert not answer, answer
            await asyncio.sleep(EVERY_S)

    await asyncio.gather(*map(beat, connections, workers))
    await db.fetchval("select pg_stat_force_next_flush()")
    dead = await db.fetchval("select n_dead_tup from pg_stat_user_tables where relname = 'workers'")
    grown = await db.fetchval("select pg_relation_size('public.workers')")
    spent_ms.append(ran_ms(connections))
    for minute in (0, MINUTES // 2, MINUTES - 1):
        beats, nothing = took_ms[minute], nothing_ms[minute]
        print(
            f"{tree.name}, minute {minute + 1}: a beat p50 {percentile(beats, 0.5):.2f} ms, p99 {percentile(beats, 0.99):.2f} ms, `select 1` "
            f"p50 {percentile(nothing, 0.5):.2f} ms, p99 {percentile(nothing, 0.99):.2f} ms; "
            f"{(spent_ms[minute + 1] - spent_ms[minute]) / len(beats):.3f} ms of a core of Postgres for both"
        )
    print(
        f"{tree.name}: {dead} dead versions, the table {size // 1024} kB before and {grown // 1024} kB after",
        flush=True,
    )
    for connection in [*connections, holder]:
        await connection.close()
    await db.close()
