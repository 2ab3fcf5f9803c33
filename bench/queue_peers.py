"""Two Postgres queues from PyPI behind the few calls that bench/queues.py measures. Runs in a virtual environment of its own."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
from queue_measure import measure, serve


class Procrastinate:
    """procrastinate through its own job manager, over psycopg as its documentation says."""

    name = "procrastinate"
    backfill = "insert into procrastinate_jobs (queue_name, task_name) select 'default', 'compose' from generate_series(1, 10000)"

    def __init__(self, url: str) -> None:
        import procrastinate

        self.app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, min_size=1, max_size=1))

    async def lay(self, db: asyncpg.Connection, finished: int, pending: int) -> None:
        async with self.app.open_async():
            await self.app.schema_manager.apply_schema_async()
        await db.execute("alter table procrastinate_jobs disable trigger user")
        await db.execute(
            "insert into procrastinate_jobs (queue_name, task_name, status) "
            f"select 'default', 'compose', 'succeeded' from generate_series(1, {finished})"
        )
        await db.execute(
            f"insert into procrastinate_jobs (queue_name, task_name) select 'default', 'compose' from generate_series(1, {pending})"
        )
        await db.execute("alter table procrastinate_jobs enable trigger user")

    async def open(self) -> None:
        await self.app.open_async()
        self.worker = await self.app.job_manager.register_worker()

    async def claim(self) -> Any:
        return await self.app.job_manager.fetch_job(None, self.worker)

    async def done(self, job: Any) -> None:
        import procrastinate

        await self.app.job_manager.finish_job(job, procrastinate.jobs.Status.SUCCEEDED, delete_job=False)

    async def close(self) -> None:
        await self.app.close_async()


class PgQueuer:
    """pgqueuer through its own queries, over asyncpg; it moves finished jobs to a log table."""

    name = "pgqueuer"
    backfill = "insert into pgqueuer (priority, entrypoint, payload, status) select 0, 'compose', null, 'queued' from generate_series(1, 10000)"

    def __init__(self, url: str) -> None:
        self.url = url

    async def lay(self, db: asyncpg.Connection, finished: int, pending: int) -> None:
        await self.open()
        await self.queries.install()
        await self.close()
        await db.execute(
            "insert into pgqueuer_log (job_id, status, priority, entrypoint) "
            f"select i, 'successful', 0, 'compose' from generate_series(1, {finished}) i"
        )
        await db.execute(
            f"insert into pgqueuer (priority, entrypoint, payload, status) select 0, 'compose', null, 'queued' from generate_series(1, {pending})"
        )

    async def open(self) -> None:
        from pgqueuer.db import AsyncpgDriver
        from pgqueuer.queries import Queries

        self.db = await asyncpg.connect(self.url)
        self.queries = Queries(AsyncpgDriver(self.db))
        self.worker = uuid4()

    async def claim(self) -> Any:
        from pgqueuer.ports.repository import EntrypointExecutionParameter

        entrypoints = {"compose": EntrypointExecutionParameter(concurrency_limit=0)}
        (job,) = await self.queries.dequeue(1, entrypoints, self.worker, None, timedelta(seconds=30))
        return job

    async def done(self, job: Any) -> None:
        await self.queries.log_jobs([(job, "successful", None)])

    async def close(self) -> None:
        await self.db.close()


if __name__ == "__main__":
    system = {"procrastinate": Procrastinate, "pgqueuer": PgQueuer}[sys.argv[1]]
    serve(asyncio.run(measure(system, sys.argv[2], finished=int(sys.argv[3]), pending=int(sys.argv[4]))))
