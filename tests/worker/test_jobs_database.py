"""The queue on a database that is away, refuses, or is being migrated."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from tests.worker.test_jobs import WRITES
from worker.database import patiently
from worker.domain import Stage
from worker.errors import Misconfigured, QueueClosed, QueueUnavailable
from worker.jobs import PostgresQueue


async def test_a_write_waits_for_the_database(queue, insert, db, database_url):
    """A write whose connection is cut goes through when the database is back."""
    await insert()
    job = await queue.claim()
    await db.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'rhythmai worker'"
    )
    await queue.set_stage(job.lease, Stage.DESCRIBING)
    assert await db.fetchval("select stage from public.jobs") == "describing"


@pytest.mark.parametrize("write", WRITES)
async def test_a_write_outlives_a_database_that_is_away(line, db, insert, write):
    """Guards `patiently` around each fenced write: while nobody answers at all it is tried again, not given up."""
    queue = await PostgresQueue.connect(
        line.url, name="far", kinds=("generate", "brief"), engines=(), version="",
        lease=timedelta(minutes=1), job_timeout=timedelta(minutes=1),
    )  # fmt: skip
    await queue.ready("")
    await insert(kind="brief" if write == "put_brief" else "generate")
    job = await queue.claim()
    line.cut()
    writing = asyncio.create_task(WRITES[write](queue, job.lease))
    async with asyncio.timeout(120):
        await line.turned_away.wait()
        line.mend()
        await writing
        await queue.close()


async def test_patience_has_an_end():
    """A database that stays away raises QueueUnavailable after the given time."""

    async def away():
        raise OSError("no route")

    with pytest.raises(QueueUnavailable, match="no route"):
        await patiently(away, give_up_after=timedelta(0))


async def test_a_refused_login_names_the_variable(database_url):
    """A wrong password is a matter of settings, said at once and not retried."""
    wrong = database_url.replace("postgres:", "postgres:wrong", 1)
    async with asyncio.timeout(120):
        with pytest.raises(Misconfigured, match="DATABASE_URL"):
            await PostgresQueue.connect(
                wrong, name="b", kinds=("merge",), engines=(), version="", lease=timedelta(seconds=9), job_timeout=timedelta(1)
            )  # fmt: skip


async def test_a_database_without_migrations_says_what_to_run(postgres):
    """An empty database is told apart from a missing one: run the migrations."""
    db = await asyncpg.connect(postgres.url())
    await db.execute("create database bare_of_migrations")
    await db.close()
    with pytest.raises(Misconfigured, match="rhythmai migrate"):
        await PostgresQueue.connect(
            postgres.url("bare_of_migrations"), name="b", kinds=("merge",), engines=(), version="",
            lease=timedelta(seconds=9), job_timeout=timedelta(1),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "back"),
    [
        ("alter table public.jobs rename column lane to lanes", "alter table public.jobs rename column lanes to lane"),
        ("alter table public.jobs rename to jobs_", "alter table public.jobs_ rename to jobs"),
        ("alter schema private rename to private_", "alter schema private_ rename to private"),
    ],
)
async def test_a_claim_in_the_middle_of_a_migration_is_told_as_such(queue, db, change, back):
    """Whatever a migration has taken away for a moment, the claim says that the database is not as it should be."""
    await db.execute(change)
    try:
        with pytest.raises(QueueUnavailable, match="not as we know it"):
            await queue.claim()
    finally:
        await db.execute(back)
    assert await queue.claim() is None


@pytest.mark.parametrize("write", WRITES)
async def test_a_closed_pool_is_final(queue, insert, write):
    """Neither a claim nor a write waits for a pool that was closed: it does not come back."""
    await insert()
    job = await queue.claim()
    await queue.pool.close()
    async with asyncio.timeout(20):
        with pytest.raises(QueueClosed):
            await queue.claim()
        with pytest.raises(QueueClosed):
            await WRITES[write](queue, job.lease)


async def test_a_database_that_is_being_migrated_is_waited_for(queue, db):
    """A function that is gone for a moment does not end a worker with loaded models."""
    await db.execute("alter function queue.next_due() rename to next_due_")
    try:
        with pytest.raises(QueueUnavailable, match="not as we know it"):
            await queue.next_due()
    finally:
        await db.execute("alter function queue.next_due_() rename to next_due")
    assert await queue.next_due() is None
