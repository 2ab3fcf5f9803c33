"""What is measured of a queue, and how a system's own process is asked: needs nothing but asyncpg, so that peers are measured alike."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import asyncpg

OWNERS = 1_000
BULK = 10_000
CLAIMS_UNDER_SNAPSHOT = 5_000


class System(Protocol):
    """A queue behind the calls that are measured; one object is one connection."""

    forget: str
    """SQL that takes away what waits."""

    def __init__(self, url: str) -> None: ...

    async def lay(self, db: asyncpg.Connection, finished: int) -> None:
        """The schema and so many finished jobs, in the shape this system gives them."""

    def backfill(self, count: int, after: int = 0) -> str:
        """A plain SQL insert of so many jobs, of a thousand owners who take turns."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def claim(self) -> Any:
        """One job, or None."""

    async def done(self, job: Any) -> None: ...

    async def insert(self, owner: int) -> None:
        """One job, as the system's client inserts it."""

    async def insert_many(self, owners: list[int]) -> None:
        """The same for many at once."""

    async def work(self, started: Callable[[], None]) -> None:
        """The system's own worker, woken by LISTEN; `started` is called where a job's work would begin. Until cancelled."""


def quantile(times: list[float], q: float) -> float:
    return sorted(times)[min(int(len(times) * q), len(times) - 1)]


async def timed(act: Callable[[], Awaitable[Any]]) -> tuple[float, Any]:
    """(milliseconds, answer)."""
    start = time.perf_counter()
    answer = await act()
    return (time.perf_counter() - start) * 1000, answer


def busy_us(pid: int) -> float:
    """Processor time of a process so far, in microseconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1000


async def claims(system: System, count: int) -> list[float]:
    """Claim and complete, one after the other; the milliseconds of each claim."""
    times = []
    for _ in range(count):
        ms, job = await timed(system.claim)
        assert job is not None
        await system.done(job)
        times.append(ms)
    return times


class Bench:
    """The measurements of one system in one database. Each method is one turn; times in milliseconds."""

    def __init__(self, kind: type[System], url: str) -> None:
        self.kind = kind
        self.url = url
        self.consumers: list[System] = []

    async def lay(self, finished: int) -> None:
        self.db = await asyncpg.connect(self.url)
        await self.kind(self.url).lay(self.db, finished)
        self.client = self.kind(self.url)
        await self.client.open()
        await self.db.execute("vacuum analyze")

    async def pick_ups(self, count: int) -> list[float]:
        """From before the insert until the work begins, of an idle worker that waits on LISTEN."""
        begun = asyncio.Event()
        working = asyncio.create_task(self.client.work(begun.set))
        times = []
        for i in range(count + 10):
            begun.clear()
            start = time.perf_counter()
            await self.client.insert(i % OWNERS)
            waiting = asyncio.create_task(begun.wait())
            await asyncio.wait({waiting, working}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
            assert begun.is_set(), working
            times.append((time.perf_counter() - start) * 1000)
            await asyncio.sleep(0.02)
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        await self.forget()
        return times[10:]

    async def fill(self, pending: int) -> None:
        await self.db.execute(self.client.backfill(pending))
        await self.db.execute("vacuum analyze")

    async def inserts(self, count: int) -> dict[str, float]:
        """One by one (the medians) through the client and as plain SQL, and 10,000 in one statement. All are taken away again."""
        before = await self.busy_us()
        ones = [(await timed(lambda i=i: self.client.insert(i % OWNERS)))[0] for i in range(count)]
        busy = await self.busy_us() - before
        plains = [(await timed(lambda i=i: self.db.execute(self.client.backfill(1, i))))[0] for i in range(count)]
        await self.forget()
        before = await self.busy_us()
        bulk, _ = await timed(lambda: self.db.execute(self.client.backfill(BULK)))
        busy_bulk = await self.busy_us() - before
        await self.forget()
        return {
            "insert": quantile(ones, 0.5),
            "insert, Postgres µs": busy / count,
            "insert, plain SQL": quantile(plains, 0.5),
            "insert of 10,000, plain SQL": bulk,
            "insert of 10,000, plain SQL, Postgres µs a row": busy_bulk / BULK,
        }

    async def insert_many(self) -> dict[str, float]:
        """10,000 at once, through the client."""
        before = await self.busy_us()
        ms, _ = await timed(lambda: self.client.insert_many([i % OWNERS for i in range(BULK)]))
        busy = await self.busy_us() - before
        await self.forget()
        return {"insert of 10,000": ms, "insert of 10,000, Postgres µs a row": busy / BULK}

    async def busy_us(self) -> float:
        """Processor time of the backends that serve this database: what else the machine does counts for little here."""
        backends = await self.db.fetch(
            "select pid from pg_stat_activity where datname = current_database() and backend_type = 'client backend'"
        )
        return sum(busy_us(pid) for (pid,) in backends)

    async def forget(self) -> None:
        await self.db.execute(self.kind.forget)
        await self.db.execute("vacuum")

    async def consume(self, consumers: int, jobs: int) -> dict[str, float]:
        """Jobs claimed and completed in a second by so many consumers, each with a connection of its own."""
        while len(self.consumers) < consumers:
            self.consumers.append(self.kind(self.url))
            await self.consumers[-1].open()
            await claims(self.consumers[-1], 20)
        before = await self.busy_us()
        start = time.perf_counter()
        await asyncio.gather(*(claims(system, jobs // consumers) for system in self.consumers[:consumers]))
        passed = time.perf_counter() - start
        busy = await self.busy_us() - before
        return {f"jobs/s, {consumers} at work": jobs / passed, f"a job, {consumers} at work, Postgres µs": busy / jobs}

    async def snapshot(self) -> tuple[float, float]:
        """The median claim at first and after 5,000 jobs, while a forgotten transaction keeps everything from being vacuumed."""
        await self.db.execute("vacuum analyze")
        client = self.kind(self.url)  # procrastinate forgets a worker that has been idle
        await client.open()
        await claims(client, 200)
        holder = await asyncpg.connect(self.url)
        held = holder.transaction(isolation="repeatable_read")
        await held.start()
        await holder.execute("select count(*) from pg_class")
        first = await claims(client, 300)
        await claims(client, CLAIMS_UNDER_SNAPSHOT - 600)
        last = await claims(client, 300)
        await held.rollback()
        await holder.close()
        await client.close()
        return quantile(first, 0.5), quantile(last, 0.5)

    async def close(self) -> None:
        for system in [*self.consumers, self.client]:
            await system.close()
        await self.db.close()


async def serve(kind: type[System], url: str) -> None:
    """Take turns: a line [method, *arguments] comes in, a line with the answer goes out."""
    bench, lines = Bench(kind, url), asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints
    while line := await lines.readline():
        method, *arguments = json.loads(line)
        print(json.dumps(await getattr(bench, method)(*arguments)), file=answers, flush=True)
    await bench.close()
