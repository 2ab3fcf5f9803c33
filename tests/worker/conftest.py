import asyncio
from datetime import timedelta

import asyncpg
import pytest

from worker.jobs import PostgresQueue


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
