import asyncio
import json
import secrets
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from rhythmai.local.gateway import Gateway, GatewaySettings
from tests.worker.line import Line
from worker.fetch import HttpFetcher
from worker.heartbeat import Heartbeat
from worker.jobs import PostgresQueue
from worker.listener import Listener
from worker.pipeline.clip import ChildLooker
from worker.pipeline.local_describer import LocalDescriber
from worker.pipeline.master import master
from worker.pipeline.merge import FfmpegMerger
from worker.pipeline.run import Pipeline
from worker.pipeline.sketch.engine import SketchEngine
from worker.storage import SupabaseStorage

MAX_BYTES = 2_000_000
MAX_DURATION_S = 5


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
    async with asyncio.timeout(20):
        queue = await PostgresQueue.connect(
            database_url,
            name="box",
            kinds=("generate", "merge"),
            engine="sketch",
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
        port=0, database_url=database_url, jwt_secret="j" * 40, secret_key="sb_secret_worker",
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
async def box(database_url, queue, gateway, tmp_path):
    """A whole worker in this process, sketch engine and all, over the local gateway: `await box.until_ended(job_id)`."""
    (tmp_path / "work").mkdir()
    heart = Heartbeat(database_url, queue.worker_id, every=timedelta(milliseconds=200), on_order=lambda order: None)
    heart.start()
    pipeline = Pipeline(
        queue=queue, fetcher=HttpFetcher(supabase_url=gateway.url, max_bytes=MAX_BYTES),
        looker=ChildLooker(max_duration_s=MAX_DURATION_S), describer=LocalDescriber(), engine=SketchEngine(), master=master,
        merger=FfmpegMerger(), storage=SupabaseStorage(gateway.url, gateway.key), work_dir=tmp_path / "work",
    )  # fmt: skip
    listener = Listener(queue=queue, run_job=pipeline.run, watch=heart, poll_every=timedelta(milliseconds=50))
    listening = asyncio.create_task(listener.listen())

    class Box:
        work_dir = tmp_path / "work"
        storage = pipeline.storage

        async def until_ended(self, job_id):
            async with asyncio.timeout(60):
                while True:
                    answer = json.loads(await queue._ask("select queue.answer($1)", job_id))
                    if answer["finished_at"]:
                        return answer
                    await asyncio.sleep(0.02)

        async def upload(self, data, name="video.mp4"):
            return await self.storage.put("uploads", f"{secrets.token_hex(16)}/{name}", data, "video/mp4")

    yield Box()
    listener.drain()
    await asyncio.wait_for(listening, 60)
    await asyncio.to_thread(heart.stop)
    await pipeline.storage.close()
