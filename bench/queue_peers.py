"""Two Postgres queues from PyPI behind the few calls that bench/queues.py measures. Runs in a virtual environment of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
from queue_measure import serve

URL = "https://example.com/v.mp4"
PAYLOAD = f"jsonb_build_object('video_url', '{URL}', 'owner', 't' || i % 1000)"


def payload(owner: int) -> dict[str, str]:
    return {"video_url": URL, "owner": f"t{owner}"}


class Procrastinate:
    """procrastinate through its own app and job manager, over psycopg as its documentation says."""

    forget = "delete from procrastinate_jobs where status = 'todo'"

    def __init__(self, url: str) -> None:
        import procrastinate

        self.url = url
        connector = procrastinate.PsycopgConnector(conninfo=url, min_size=1, max_size=4)
        self.app = procrastinate.App(connector=connector)
        self.started: Callable[[], None] = lambda: None

        @self.app.task(name="compose", queue="default")
        async def compose(**_: Any) -> None:
            self.started()

        self.task = compose

    def backfill(self, count: int, after: int = 0) -> str:
        return (
            f"insert into procrastinate_jobs (queue_name, task_name, args) select 'default', 'compose', {PAYLOAD} "
            f"from generate_series({after} + 1, {after} + {count}) i"
        )

    async def lay(self, db: asyncpg.Connection, finished: int) -> None:
        async with self.app.open_async():
            await self.app.schema_manager.apply_schema_async()
        await db.execute("alter table procrastinate_jobs disable trigger user")
        await db.execute(
            f"insert into procrastinate_jobs (queue_name, task_name, args, status, attempts) "
            f"select 'default', 'compose', {PAYLOAD}, 'succeeded', 1 from generate_series(1, {finished}) i"
        )
        await db.execute("alter table procrastinate_jobs enable trigger user")
        await db.execute(
            "insert into procrastinate_events (job_id, type) "
            "select id, e::procrastinate_job_event_type from procrastinate_jobs, unnest('{deferred,started,succeeded}'::text[]) e"
        )

    async def open(self) -> None:
        await self.app.open_async()
        self.worker = await self.app.job_manager.register_worker()

    async def close(self) -> None:
        await self.app.close_async()

    async def claim(self) -> Any:
        return await self.app.job_manager.fetch_job(None, self.worker)

    async def done(self, job: Any) -> None:
        import procrastinate

        await self.app.job_manager.finish_job(job, procrastinate.jobs.Status.SUCCEEDED, delete_job=False)

    async def insert(self, owner: int) -> None:
        await self.task.defer_async(**payload(owner))

    async def insert_many(self, owners: list[int]) -> None:
        await self.task.batch_defer_async(*map(payload, owners))

    async def work(self, started: Callable[[], None]) -> None:
        self.started = started
        await self.app.run_worker_async(concurrency=2, install_signal_handlers=False)


class PgQueuer:
    """pgqueuer through its own queries, over asyncpg; it moves finished jobs to a log table."""

    forget = "delete from pgqueuer where status = 'queued'"

    def __init__(self, url: str) -> None:
        self.url = url

    def backfill(self, count: int, after: int = 0) -> str:
        return (
            f"insert into pgqueuer (priority, entrypoint, payload, status) select 0, 'compose', convert_to({PAYLOAD}::text, 'UTF8'), "
            f"'queued' from generate_series({after} + 1, {after} + {count}) i"
        )

    async def lay(self, db: asyncpg.Connection, finished: int) -> None:
        await self.open()
        await self.queries.install()
        await self.close()
        await db.execute(
            "insert into pgqueuer_log (job_id, status, priority, entrypoint, aggregated) "
            f"select i, s::pgqueuer_status, 0, 'compose', true from generate_series(1, {finished}) i, unnest('{{queued,picked,successful}}'::text[]) s"
        )

    async def open(self) -> None:
        from pgqueuer.db import AsyncpgDriver
        from pgqueuer.queries import Queries

        self.db = await asyncpg.connect(self.url)
        self.queries = Queries(AsyncpgDriver(self.db))
        self.worker = uuid4()

    async def close(self) -> None:
        await self.db.close()

    async def claim(self) -> Any:
        from pgqueuer.ports.repository import EntrypointExecutionParameter

        entrypoints = {"compose": EntrypointExecutionParameter(concurrency_limit=0)}
        (job,) = await self.queries.dequeue(1, entrypoints, self.worker, None, timedelta(seconds=30))
        return job

    async def done(self, job: Any) -> None:
        await self.queries.log_jobs([(job, "successful", None)])

    async def insert(self, owner: int) -> None:
        await self.queries.enqueue("compose", json.dumps(payload(owner)).encode())

    async def insert_many(self, owners: list[int]) -> None:
        payloads = [json.dumps(payload(owner)).encode() for owner in owners]
        await self.queries.enqueue(["compose"] * len(owners), payloads, [0] * len(owners))

    async def work(self, started: Callable[[], None]) -> None:
        from pgqueuer import PgQueuer as Application
        from pgqueuer.db import AsyncpgDriver

        db = await asyncpg.connect(self.url)
        application = Application(AsyncpgDriver(db))

        @application.entrypoint("compose")
        async def compose(_: Any) -> None:
            started()

        try:
            await application.run(batch_size=1)
        finally:
            db.terminate()


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    asyncio.run(serve({"procrastinate": Procrastinate, "pgqueuer": PgQueuer}[sys.argv[1]], sys.argv[2]))
