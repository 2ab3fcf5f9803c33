"""A fleet in simulated time: the rules are those of SQL and of `Wake`, the workers are events on a heap. Nobody polls."""

from __future__ import annotations

import heapq
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from worker.wake import Wake

BEAT_S, IDLE_BEAT_S = 1.5, 6.0
DELAY_S = 0.02
"""Until a wake-up has reached a worker, at most."""
CLAIM = "select queue.claim($1, '1 hour')"


class Clock:
    """That of wake-ups, which stands still; milliseconds."""

    NOW = "create or replace function private.now_ms() returns bigint language sql volatile set search_path = '' as"
    HINTS = (
        "owed_ms", "woken_generate", "woken_merge", "woken_webhook", "room_generate", "room_sketch", "room_acestep",
    )  # fmt: skip

    def __init__(self, db: Any) -> None:
        self.db, self.ms = db, 10**12

    async def stop(self) -> None:
        """No wake-up was ever sent or owed."""
        await self._forget()
        await self.db.execute(f"{self.NOW} $$ select current_setting('test.now_ms')::bigint $$")
        await self.passes(0)

    async def passes(self, ms: int) -> None:
        self.ms += ms
        await self.db.execute("select set_config('test.now_ms', $1, false)", str(self.ms))

    async def go_on(self) -> None:
        await self.db.execute(f"{self.NOW} $$ select (extract(epoch from clock_timestamp()) * 1000)::bigint $$")
        await self._forget()

    async def _forget(self) -> None:
        await self.db.execute("select " + ", ".join(f"setval('private.{name}', 1, false)" for name in self.HINTS))


async def idle(db: Any, count: int, engine: str = "sketch", slots: int = 2) -> list[int]:
    """So many workers that have nothing to do, and that were counted."""
    rows = await db.fetch(
        "insert into public.workers (name, kinds, engines, slots, state, lease) "
        "select 'box', '{generate,merge}', array[$2], $3, 'ready', '1 hour' from generate_series(1, $1) returning id",
        count, engine, slots,
    )  # fmt: skip
    await db.execute("select queue.sweep()")
    return [row["id"] for row in rows]


@dataclass
class Fleet:
    """Workers by id, each with an engine and slots, and how long each job waited while somebody had room for it."""

    db: Any
    clock: Clock
    workers: dict[int, str]
    slots: int
    job_s: Callable[[], float]
    waited_s: dict[Any, float] = field(default_factory=dict)
    looks: int = 0
    _now_s: float = 0.0
    _events: list[tuple[float, int, Callable[[], Awaitable[None]]]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)
    _alarms: dict[int, float] = field(default_factory=dict)
    _running: dict[int, int] = field(default_factory=dict)
    _waiting: dict[Any, str] = field(default_factory=dict)

    def at(self, when_s: float, what: Callable[[], Awaitable[None]]) -> None:
        heapq.heappush(self._events, (when_s, next(self._order), what))

    async def live(self, until_s: float) -> None:
        for worker in self.workers:
            self.at(random.uniform(0, IDLE_BEAT_S), lambda w=worker: self._beat(w))
        while self._events and self._events[0][0] < until_s:
            when_s, _, what = heapq.heappop(self._events)
            for job, engine in self._waiting.items():
                if any(self._has_room(worker, engine) for worker in self.workers):
                    self.waited_s[job] += when_s - self._now_s
            await self.clock.passes(round(1000 * when_s) - round(1000 * self._now_s))
            self._now_s = when_s
            await what()

    async def come(self, jobs: int, engine: str = "") -> None:
        """In one statement."""
        rows = await self.db.fetch(
            "insert into public.jobs (video_url, engine, tenant) select 'https://v', $2, i from generate_series(1, $1) i returning id",
            jobs, engine,
        )  # fmt: skip
        for row in rows:
            self._waiting[row["id"]], self.waited_s[row["id"]] = engine, 0.0
        await self._hear()

    async def fills(self, workers: list[int]) -> None:
        """These have taken all the jobs they can, and need long for them."""
        await self.db.execute(
            "insert into public.jobs (video_url, status, attempt, worker_id, started_at, claimed_at, deadline_at) "
            "select 'https://v', 'processing', 1, w, now(), now(), now() + '1 hour' from unnest($1::bigint[]) w, generate_series(1, $2)",
            workers, self.slots,
        )  # fmt: skip
        self._running |= dict.fromkeys(workers, self.slots)

    def _has_room(self, worker: int, engine: str) -> bool:
        return self._running.get(worker, 0) < self.slots and engine in ("", self.workers[worker])

    async def _hear(self) -> None:
        for row in await self.db.fetch("delete from realtime.messages where topic = 'jobs' returning payload"):
            wake = Wake(**{name: row["payload"][name] for name in ("what", "engine", "workers", "lookers")})
            for worker, engine in self.workers.items():
                after_s = wake.look_after() if wake.engine in ("", engine) else None
                if after_s is None:
                    continue
                when_s = self._now_s + random.uniform(0, DELAY_S) + after_s
                if when_s < self._alarms.get(worker, float("inf")):
                    self._alarms[worker] = when_s
                    self.at(when_s, lambda w=worker, s=when_s: self._alarm(w, s))

    async def _alarm(self, worker: int, when_s: float) -> None:
        if self._alarms.get(worker) == when_s:
            del self._alarms[worker]
            await self._look(worker)

    async def _look(self, worker: int) -> None:
        while self._running.get(worker, 0) < self.slots:
            self.looks += 1
            if not any(self._has_room(worker, engine) for engine in self._waiting.values()):
                return
            job = await self.db.fetchval(CLAIM, worker)
            del self._waiting[next(found for found in self._waiting if str(found) == job["id"])]
            self._running[worker] = self._running.get(worker, 0) + 1
            self.at(self._now_s + self.job_s(), lambda j=job: self._ends(worker, j))

    async def _ends(self, worker: int, job: dict[str, Any]) -> None:
        self._running[worker] -= 1
        await self.db.execute("select queue.finish($1, $2, $3)", job["id"], job["attempt"], worker)
        await self._look(worker)

    async def _beat(self, worker: int) -> None:
        await self.db.execute("select private.pay_wakes()")
        await self._hear()
        self.at(self._now_s + (BEAT_S if self._running.get(worker) else IDLE_BEAT_S), lambda: self._beat(worker))
