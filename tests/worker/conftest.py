import asyncio
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from rhythmai.local.postgres import free_port
from supabase_standin.gateway import Gateway, GatewaySettings
from tests.worker.line import Line
from tests.worker.memory_queue import job as made
from tests.worker.seams import Seams
from tests.worker.whole_worker import running_worker
from worker.jobs import PostgresQueue
from worker.pipeline.rack import Rack
from worker.pipeline.run import Pipeline
from worker.timings import Timings


@pytest.fixture
async def db(database_url):
    """A connection of an operator; the queue is empty before and after."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.execute("truncate public.jobs, public.workers cascade")
    await connection.close()


@pytest.fixture
async def queue(database_url, db):
    """A worker that is ready to claim."""
    async with asyncio.timeout(120):
        queue = await PostgresQueue.connect(
            database_url,
            name="whole",
            kinds=("generate", "merge", "brief", "pack"),
            engines=("sketch",),
            version="0",
            lease=timedelta(seconds=30),
            job_timeout=timedelta(minutes=30),
        )
    await queue.ready("sketch")
    yield queue
    await queue.close()


@pytest.fixture
def insert(db):
    async def insert(**columns):
        columns = {"video_url": "https://example.com/a.mp4"} | columns
        names, marks = ", ".join(columns), ", ".join(f"${i}" for i in range(1, len(columns) + 1))
        return await db.fetchval(f"insert into public.jobs ({names}) values ({marks}) returning id", *columns.values())

    return insert


@pytest.fixture
async def gateway(database_url, tmp_path):
    """Realtime and Storage of the local stack; `.url`, `.key`, `.restart()` on the same port."""
    settings = GatewaySettings(
        port=free_port(), database_url=database_url, jwt_secret="j" * 40, secret_key="sb_secret_worker",
        publishable_key="sb_publishable_worker", storage_dir=tmp_path / "storage",
    )  # fmt: skip

    class Running:
        key = settings.secret_key

        async def start(self, port=0):
            self.gateway = Gateway(replace(settings, port=port))
            await self.gateway.__aenter__()
            self.url = f"http://127.0.0.1:{self.gateway.port}"

        async def stop(self):
            await self.gateway.__aexit__(None, None, None)

        async def restart(self):
            await self.stop()
            await self.start(self.gateway.port)

    running = Running()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def line(database_url):
    """A way to the database that can be frozen and cut."""
    async with Line(database_url) as line:
        yield line


@pytest.fixture
async def worker(database_url, queue, gateway, tmp_path):
    """A whole worker in this process: `await worker.until_ended(job_id)`."""
    async with running_worker(database_url, queue, gateway, tmp_path / "work") as worker:
        yield worker


@pytest.fixture
def seams():
    return Seams()


@pytest.fixture
def pipeline(seams):
    return Pipeline(
        queue=seams, fetcher=seams, looker=seams, ear=seams, describer=seams, rack=Rack.of(seams), master=seams.master, merger=seams, storage=seams,
        fit=lambda text: text[:3],
    )  # fmt: skip


@pytest.fixture
def run(pipeline):
    async def run(stopped=lambda: False, draining=lambda: False, **changes):
        job = made(**{"lane": "interactive"} | changes)
        await asyncio.wait_for(pipeline.run(job, stopped=stopped, draining=draining, timings=Timings()), 20)
        return job

    return run
