"""Idle workers of one tree in one process, for bench/fleet_workers.py: each with its own connections, listener, wake-ups, webhooks and beats.

    python bench/fleet_worker.py COUNT        over the tree that PYTHONPATH names

Says how many there are, and then for each job that a worker claimed `<job> <milliseconds of the epoch>`.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from datetime import timedelta
from typing import Any

import asyncpg
import structlog

from rhythmai.project.trace import untraced
from worker.jobs import PostgresQueue
from worker.listener import Listener
from worker.wakeups import ListenWakeUps
from worker.webhooks import Webhooks

LEASE_S = 30
try:
    from worker.alarm import Alarm
except ImportError:  # the older tree: every wake-up wakes both
    Alarm = None

try:
    from worker.assembly import idle_beat

    BEAT_S = idle_beat(LEASE_S).total_seconds()
except ImportError:  # the older tree: whoever holds nothing beats as often as whoever works
    BEAT_S = 1.5
POOL = {"connections": 1} if Alarm else {}
ENGINES: dict[str, Any] = {"engines": ("sketch",)} if Alarm else {"engine": "sketch"}
KINDS = ("generate", "merge")
CONNECTING_AT_ONCE = asyncio.Semaphore(8)


class Unwatched:
    """The heartbeat's side of a lease that ends at once."""

    def hold(self, *_: Any) -> None: ...

    def drop(self, *_: Any) -> None: ...


async def run(job: Any, **_: Any) -> None:
    print(job.lease.job_id, time.time() * 1000, flush=True)


async def beat(dsn: str, worker: int) -> None:
    connection = await asyncpg.connect(dsn)
    await asyncio.sleep(random.uniform(0, BEAT_S))
    while True:
        await connection.fetch("select job_id, attempt, verdict from queue.beat($1, $2, $3)", worker, [], [])
        await asyncio.sleep(BEAT_S)


async def live(number: int, dsn: str) -> list[Any]:
    """What one worker does side by side, begun."""
    async with CONNECTING_AT_ONCE:
        queue = await PostgresQueue.connect(
            dsn, name=f"{os.getpid()}.{number}", kinds=KINDS, **ENGINES, version="bench", lease=timedelta(seconds=LEASE_S),
            job_timeout=timedelta(minutes=5), tracer=untraced, **POOL,
        )  # fmt: skip
        await queue.ready("sketch")
    listener = Listener(queue=queue, run_job=run, watch=Unwatched())
    webhooks = Webhooks(outbox=queue)
    if Alarm:
        listener.fleet = webhooks.fleet = lambda: queue.fleet
        ring: Any = Alarm(kinds=KINDS, engines=("sketch",), look=listener.wake, deliver=webhooks.wake).ring
    else:

        def ring() -> None:
            listener.wake()
            webhooks.wake()

    return [listener.listen(), webhooks.run(), ListenWakeUps(dsn).run(ring), beat(dsn, queue.worker_id)]


async def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    dsn = os.environ["DATABASE_URL"]
    workers = await asyncio.gather(*(live(number, dsn) for number in range(int(sys.argv[1]))))
    doing = [asyncio.create_task(one) for worker in workers for one in worker]
    await asyncio.sleep(3)
    print("workers", len(workers), flush=True)
    await asyncio.gather(*doing)


if __name__ == "__main__":
    asyncio.run(main())
