"""Every step of the queue is a short index walk, whatever ANALYZE last saw."""

import asyncio

import asyncpg
import pytest

from bench.queue_plans import STATEMENTS, explain
from rhythmai.commands.operators import JOBS, Status
from rhythmai.commands.top import LAST
from tests.conftest import FUZZ, copied, fixture
from tests.database.desk import Queue, connect

INDEXES = {
    "walk, priority above 0": "jobs_ready",
    "walk": "jobs_ready",
    "walk, priority below 0": "jobs_ready",
    "last turn of the tenant": "jobs_tenant",
    "jobs past their deadline": "jobs_deadline",
    "backed-off jobs that are due": "jobs_backed_off",
    "jobs of a dead worker": "jobs_held",
    "may this topic be watched": "jobs_pkey",
}
FINISHED = """
insert into public.jobs (video_url, status, attempt, started_at, claimed_at, finished_at, tenant)
select 'https://v', 'completed', 1, now(), now(), now(), 't' || i % 100 from generate_series(1, $1::int) i
"""
PENDING = (
    "insert into public.jobs (video_url, tenant) select 'https://v', 't' || i % 100 from generate_series(1, $1::int) i"
)


@pytest.fixture(params=[(200, 5000), (5000, 200)], ids=["mostly pending", "mostly finished"], scope="module")
def filled(request, postgres, template):
    """The URL of a table whose statistics are one-sided, and what happens after ANALYZE: five failures and a running job."""

    async def fill(url: str) -> None:
        db = await connect(url)
        for statement, count in zip((FINISHED, PENDING), request.param, strict=True):
            await db.execute(statement, count)
        await db.execute("analyze public.jobs")
        worker = await Queue(db).worker()
        for _ in range(5):
            await worker.fail(await worker.claim(), again=True)
        await worker.claim()
        await db.close()

    with copied(postgres, template) as url:
        asyncio.run(fill(url))
        yield url


@fixture
async def history(filled):
    """A connection to it; what a test does there is undone."""
    db = await connect(filled)
    transaction = db.transaction()
    await transaction.start()
    yield db
    await transaction.rollback()
    await db.close()


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
async def test_every_step_walks_its_index_in_order(history, mode):
    """No sort of a backlog, no scan of a table, and the index that was made for it."""
    for name in STATEMENTS:
        plan = await explain(history, name, mode=mode)
        assert INDEXES[name] in plan, (name, plan)
        assert "Seq Scan" not in plan, (name, plan)
        few = name == "jobs of a dead worker" or (name.startswith("walk") and plan.count("Sort Key") == 1)
        assert "Sort" not in plan or few, (name, plan)  # a handful, or the heads of a worker's engines


async def test_a_claim_scans_no_table(history):
    """The functions themselves, counted: fifty claims read jobs by index only, and few rows each."""
    worker = await Queue(history).worker()
    counted = "select seq_scan, idx_tup_fetch from pg_stat_xact_user_tables where relid = 'public.jobs'::regclass"
    before = await history.fetchrow(counted)
    for _ in range(50):
        assert await worker.claim()
    scans, fetched = (now - then for now, then in zip(await history.fetchrow(counted), before, strict=True))
    assert scans == 0
    assert fetched < 50 * 10


async def test_lists_of_jobs_walk_indexes(history):
    """`rhythmai jobs`, with each status, and the last ends of `rhythmai top` read as many rows as they show, whatever the history."""
    counted = "select seq_scan, idx_tup_fetch from pg_stat_xact_user_tables where relid = 'public.jobs'::regclass"
    for wanted in (None, *([status.value] for status in Status)):
        before = await history.fetchrow(counted)
        await history.fetch(JOBS, wanted, 20)
        await history.fetch(LAST, 20)
        scans, fetched = (now - then for now, then in zip(await history.fetchrow(counted), before, strict=True))
        assert (scans, fetched <= 20 * 12) == (0, True), wanted


async def read_by_claims(db: asyncpg.Connection, queue: Queue, count: int) -> float:
    """Index entries of jobs_ready that a claim steps over, on average."""
    counted = "select idx_tup_read from pg_stat_user_indexes where indexrelname = 'jobs_ready'"
    await db.execute("select pg_stat_force_next_flush()")
    before = await db.fetchval(counted)
    worker = await queue.worker()
    for _ in range(count):
        await db.execute("select setval('private.swept_ms', (extract(epoch from clock_timestamp()) * 1000)::bigint)")
        await worker.finish(await worker.claim())
    await db.execute("select pg_stat_force_next_flush()")
    return (await db.fetchval(counted) - before) / count


async def test_a_held_snapshot_does_not_slow_claims_down(db, queue, dial):
    """While somebody holds an old snapshot nothing can be vacuumed: claims start after the dead entries, not before them."""
    await db.execute("vacuum public.jobs")  # what earlier tests left behind
    few, many = (50, 300) if FUZZ == 1 else (100, 800)
    await db.execute(PENDING, 3 * (few + many))
    holder = await dial()
    snapshot = holder.transaction(isolation="repeatable_read")
    await snapshot.start()
    await holder.fetchval("select count(*) from public.jobs")
    first = await read_by_claims(db, queue, few)
    await read_by_claims(db, queue, many)
    last = await read_by_claims(db, queue, few)
    await snapshot.rollback()
    assert last <= 3 * max(first, 2)


async def test_a_sweep_after_a_pause_reads_little(db, queue):
    """Thousands of jobs that were paused and have missed their turns cost a sweep a bounded walk, and are drawn anew bit by bit."""
    await db.execute(PENDING, 4000)
    await db.execute(
        "update public.jobs set run_at = 'infinity' where turn >> 32 < (select max(turn) >> 32 from public.jobs) - 6"
    )
    worker = await queue.worker()
    for _ in range(300):
        await worker.claim()
    await db.execute("update public.jobs set run_at = null where run_at is not null")
    await db.execute("vacuum analyze public.jobs")
    counted = "select seq_scan, idx_tup_fetch from pg_stat_xact_user_tables where relid = 'public.jobs'::regclass"
    late = "select count(*) from public.jobs where status = 'pending' and turn < (select last_value from private.served_generate_batch) >> 32 << 32"
    before = await db.fetchval(late)
    assert before > 1000
    async with db.transaction():
        first = await db.fetchrow(counted)
        await db.fetchval("select queue.sweep()")
        scans, fetched = (now - then for now, then in zip(await db.fetchrow(counted), first, strict=True))
    assert (scans, fetched < 64 * 8) == (0, True)
    assert await db.fetchval(late) == before - 64


async def test_plans_made_on_an_empty_table_serve_a_backfill(db, queue):
    """A session whose plans were made while the table was empty, and known to be, inserts and claims by indexes nevertheless."""
    await db.execute("vacuum analyze public.jobs")
    worker = await queue.worker()
    for _ in range(8):  # plans are kept from the sixth time on
        await queue.insert()
        await worker.finish(await worker.claim())
    await db.execute("truncate public.jobs cascade")
    await db.execute("vacuum analyze public.jobs")
    counted = "select seq_scan from pg_stat_xact_user_tables where relid = 'public.jobs'::regclass"
    async with db.transaction():
        before = await db.fetchval(counted)
        await db.execute(PENDING, 300)
        inserted = await db.fetchval(counted)
        for _ in range(20):
            assert await worker.claim()
        assert (inserted - before, await db.fetchval(counted) - inserted) == (0, 0)
