"""The queue as a worker and a door see it: one method for each SQL function."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

HALF_AN_HOUR = timedelta(minutes=30)
LEASE = timedelta(hours=1)
"""Long: whoever is to be dead in a test is made so by `crash`."""

EMPTY = """
delete from public.jobs;
delete from public.workers;
delete from realtime.messages;
delete from private.settings;
insert into private.settings default values;
"""


@dataclass(frozen=True)
class Worker:
    """A worker as SQL sees it: claims, and writes with the (job, attempt) it was given."""

    db: asyncpg.Connection
    id: int
    engines: tuple[str, ...] = ()

    async def claim(self, timeout: timedelta = HALF_AN_HOUR) -> dict[str, Any] | None:
        return await self.db.fetchval("select queue.claim($1, $2)", self.id, timeout)

    async def beat(self, *jobs: dict[str, Any]) -> dict[UUID | None, str]:
        rows = await self.db.fetch(
            "select * from queue.beat($1, $2, $3)", self.id, [j["id"] for j in jobs], [j["attempt"] for j in jobs]
        )
        return {row["job_id"]: row["verdict"] for row in rows}

    async def stage(self, job: dict[str, Any], stage: str = "composing") -> str:
        return await self.write("set_stage", job, stage)

    async def note(self, job: dict[str, Any], sentence: str) -> str:
        return await self.write("note", job, sentence)

    async def preview(self, job: dict[str, Any], url: str) -> str:
        return await self.write("set_preview", job, url)

    async def hear(self, job: dict[str, Any], *spans: tuple[float, float], heard_s: float, film_s: float) -> str:
        found = [{"start_s": start_s, "end_s": end_s} for start_s, end_s in spans]
        return await self.write("put_speech", job, {"spans": found, "heard_s": heard_s, "film_s": film_s})

    async def brief(self, job: dict[str, Any], brief: Any) -> str:
        return await self.write("put_brief", job, brief)

    async def plan(self, job: dict[str, Any], plan: Any) -> tuple[str, Any]:
        sql = "select * from queue.save_plan($1, $2, $3, $4)"
        return tuple(await self.db.fetchrow(sql, job["id"], job["attempt"], self.id, plan))

    async def put(self, job: dict[str, Any], index: int = 0, **columns: Any) -> str:
        result = {"index": index, "audio_url": f"https://s/{self.id}/{index}.flac"} | columns
        return await self.write("put_result", job, result)

    async def finish(self, job: dict[str, Any]) -> str:
        return await self.write("finish", job)

    async def fail(self, job: dict[str, Any], *, again: bool, code: str = "unavailable", error: str = "away") -> str:
        return await self.write("fail", job, code, error, again)

    async def release(self, job: dict[str, Any]) -> str:
        return await self.write("release", job)

    async def write(self, function: str, job: dict[str, Any], *more: Any) -> str:
        places = ", ".join(f"${i}" for i in range(1, 4 + len(more)))
        return await self.db.fetchval(f"select queue.{function}({places})", job["id"], job["attempt"], self.id, *more)

    async def crash(self) -> None:
        """Stop beating: the lease is over."""
        await self.db.execute("update public.workers set last_seen = now() - 2 * lease where id = $1", self.id)


@dataclass(frozen=True)
class Queue:
    """One connection as superuser and what tests do with it."""

    db: asyncpg.Connection

    async def worker(
        self,
        name: str = "box",
        kinds: tuple[str, ...] = ("generate", "merge", "brief", "pack"),
        engines: tuple[str, ...] = ("sketch",),
    ) -> Worker:
        register = "select queue.register($1, $2, $3, '1', $4)"
        worker = await self.db.fetchval(register, name, list(kinds), list(engines), LEASE)
        await self.db.execute("select queue.ready($1, $2)", worker, ", ".join(engines))
        return Worker(self.db, worker, engines)

    async def insert(self, **columns: Any) -> UUID:
        columns = {"video_url": "https://example.com/a.mp4"} | columns
        places = ", ".join(f"${i}" for i in range(1, 1 + len(columns)))
        sql = f"insert into public.jobs ({', '.join(columns)}) values ({places}) returning id"
        return await self.db.fetchval(sql, *columns.values())

    async def submit(self, kind: str = "generate", **arguments: Any) -> UUID:
        arguments = {"p_kind": kind, "p_video_url": "https://example.com/a.mp4"} | arguments
        places = ", ".join(f"{name} => ${i}" for i, name in enumerate(arguments, 1))
        return await self.db.fetchval(f"select queue.submit({places})", *arguments.values())

    async def job(self, job: UUID | dict[str, Any]) -> asyncpg.Record:
        job = job["id"] if isinstance(job, dict) else job
        return await self.db.fetchrow("select * from public.jobs where id = $1", job)

    async def results(self, job: UUID | dict[str, Any]) -> list[int]:
        job = job["id"] if isinstance(job, dict) else job
        rows = await self.db.fetch("select index from public.results where job_id = $1 order by index", job)
        return [row["index"] for row in rows]

    async def sweep(self) -> int:
        return await self.db.fetchval("select queue.sweep()")

    async def no_more_waiting(self) -> None:
        """Time passes: every backed-off job is due."""
        await self.db.execute("update public.jobs set run_at = now() where run_at is not null")


async def connect(url: str) -> asyncpg.Connection:
    connection = await asyncpg.connect(url)
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    return connection
