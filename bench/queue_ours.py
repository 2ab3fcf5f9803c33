"""Our queue, and the floor below all queues, behind the few calls that bench/queues.py measures."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import structlog

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bench.queue_measure import serve  # noqa: E402
from supabase_standin import BASELINE  # noqa: E402
from worker.domain import Job  # noqa: E402
from worker.jobs import PostgresQueue  # noqa: E402
from worker.listener import Listener  # noqa: E402
from worker.wakeups import ListenWakeUps  # noqa: E402

URL = "https://example.com/v.mp4"
HOUR = timedelta(hours=1)
OWNER = "00000000-0000-4000-8000-000000000000"
"""Of every other finished job."""


class Nobody:
    """No heartbeat: the lease is long enough."""

    def hold(self, *_: object) -> None: ...

    def drop(self, *_: object) -> None: ...


class RhythmAI:
    """Our queue: fenced, fair, live events on every claim and end."""

    forget = "delete from public.jobs where status = 'pending'"

    def __init__(self, url: str) -> None:
        self.url = url

    def backfill(self, count: int, after: int = 0) -> str:
        return (
            f"insert into public.jobs (video_url, tenant) select '{URL}', 't' || i % 1000 "
            f"from generate_series({after} + 1, {after} + {count}) i"
        )

    async def lay(self, db: asyncpg.Connection, finished: int) -> None:
        for file in [BASELINE, *sorted((ROOT / "supabase" / "migrations").glob("*.sql"))]:
            await db.execute(file.read_text())
        await db.execute("update private.settings set pending_per_owner = 1000000")
        await db.execute("alter table public.jobs disable trigger all")
        await db.execute(
            f"""
            insert into public.jobs (video_url, status, attempt, started_at, claimed_at, finished_at, tenant, owner)
            select '{URL}', 'completed', 1, now(), now(), now() - i * interval '1 s', coalesce(o.owner::text, 't' || i % 1000), o.owner
              from generate_series(1, {finished}) i,
                   lateral (select case when i % 2 = 0 then '{OWNER}'::uuid end as owner) o
            """
        )
        await db.execute("alter table public.jobs enable trigger all")

    async def open(self) -> None:
        self.db = await asyncpg.connect(self.url)
        self.worker = await self.db.fetchval("select queue.register('bench', '{generate,merge}', '{}', '', '1 hour')")
        await self.db.execute("select queue.ready($1, '')", self.worker)

    async def close(self) -> None:
        await self.db.close()

    async def claim(self) -> Any:
        return await self.db.fetchval("select queue.claim($1, $2)", self.worker, timedelta(minutes=30))

    async def done(self, job: str) -> None:
        row = json.loads(job)
        await self.db.execute("select queue.finish($1, $2, $3)", row["id"], row["attempt"], self.worker)

    async def insert(self, owner: int) -> None:
        """As both doors do."""
        await self.db.fetchval(
            "select queue.submit('generate', $1, p_owner => $2)", URL, f"00000000-0000-4000-8000-{owner:012}"
        )

    async def insert_many(self, owners: list[int]) -> None:
        """In the order of their owners, as docs/operations.md advises."""
        owners = sorted(owners)
        await self.db.execute(
            "insert into public.jobs (video_url, tenant) select * from unnest($1::text[], $2::text[])",
            [URL] * len(owners),
            [f"t{owner}" for owner in owners],
        )

    async def work(self, started: Callable[[], None]) -> None:
        """The worker's own loop and adapters; only the music is missing."""
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        queue = await PostgresQueue.connect(
            self.url, name="bench", kinds=("generate", "merge"), engines=(), version="", lease=HOUR, job_timeout=HOUR
        )
        await queue.ready("")

        async def run_job(job: Job, **_: object) -> None:
            started()

        listener = Listener(queue=queue, run_job=run_job, watch=Nobody())
        waking = asyncio.create_task(ListenWakeUps(self.url).run(lambda _: listener.wake()))
        try:
            await listener.listen()
        finally:
            waking.cancel()
            await queue.close()


class Bare:
    """The floor: one `update ... for update skip locked` on one small table, no fence, no fairness, no events."""

    forget = "delete from bare where status = 'pending'"

    def __init__(self, url: str) -> None:
        self.url = url

    def backfill(self, count: int, after: int = 0) -> str:
        return (
            f"insert into bare (payload) select jsonb_build_object('video_url', '{URL}', 'owner', 't' || i % 1000) "
            f"from generate_series({after} + 1, {after} + {count}) i"
        )

    async def lay(self, db: asyncpg.Connection, finished: int) -> None:
        await db.execute(
            f"""
            create table bare (id bigint generated always as identity primary key, status text not null default 'pending', payload jsonb);
            create index on bare (id) where status = 'pending';
            insert into bare (status, payload) select 'completed', '{{}}' from generate_series(1, {finished});
            create function wake() returns trigger language plpgsql as $$ begin perform pg_notify('bare', ''); return null; end $$;
            create trigger wake after insert on bare for each statement execute function wake();
            """
        )

    async def open(self) -> None:
        self.db = await asyncpg.connect(self.url)

    async def close(self) -> None:
        await self.db.close()

    async def claim(self) -> Any:
        return await self.db.fetchval(
            "update bare set status = 'processing' where id = (select id from bare where status = 'pending' "
            "order by id limit 1 for update skip locked) returning id"
        )

    async def done(self, job: int) -> None:
        await self.db.execute("update bare set status = 'completed' where id = $1", job)

    async def insert(self, owner: int) -> None:
        payload = json.dumps({"video_url": URL, "owner": f"t{owner}"})
        await self.db.fetchval("insert into bare (payload) values ($1) returning id", payload)

    async def insert_many(self, owners: list[int]) -> None:
        payloads = [json.dumps({"video_url": URL, "owner": f"t{owner}"}) for owner in owners]
        await self.db.execute("insert into bare (payload) select unnest($1::jsonb[])", payloads)

    async def work(self, started: Callable[[], None]) -> None:
        worker = Bare(self.url)
        await worker.open()
        awake = asyncio.Event()
        await worker.db.add_listener("bare", lambda *_: awake.set())
        try:
            while True:
                awake.clear()
                while (job := await worker.claim()) is not None:
                    started()
                    await worker.done(job)
                await awake.wait()
        finally:
            worker.db.terminate()


if __name__ == "__main__":
    asyncio.run(serve({"rhythmai": RhythmAI, "bare": Bare}[sys.argv[1]], sys.argv[2]))
