"""Who is called when work comes: enough of a fleet, not all of it, and nobody for nothing."""

import asyncpg

from tests.database.desk import Queue
from tests.database.fleets import idle

SENT = "delete from realtime.messages where topic = 'jobs' returning payload"


async def called(db: asyncpg.Connection) -> list[tuple[str, str, int, int]]:
    """(what, engine, workers, lookers) of each wake-up that was sent since the last time."""
    rows = [row["payload"] for row in await db.fetch(SENT)]
    return sorted((row["what"], row["engine"], row["workers"], row["lookers"]) for row in rows)


async def test_a_small_fleet_is_called_as_a_whole(db, queue, clock):
    """Of ten workers all look, each time, and nothing is owed."""
    await idle(db, 10)
    for _ in range(3):
        await queue.insert()
    assert await called(db) == [("generate", "", 10, 10)] * 3
    assert await db.fetchval("select pg_sequence_last_value('private.owed_ms')") is None


async def test_a_few_of_a_large_fleet_are_called(db, queue, clock):
    """Of a thousand idle workers some thirty look for one job; for a statement of many jobs twice as many as jobs, for more all of them."""
    await idle(db, 1000)
    insert = "insert into public.jobs (video_url) select 'https://v' from generate_series(1, $1)"
    for jobs, lookers in ((1, 34), (100, 32 + 202), (1000, 1000)):
        await db.execute(insert, jobs)
        assert await called(db) == [("generate", "", 1000, lookers)]
        await clock.passes(300)


async def test_only_workers_with_room_are_counted(db, queue, clock):
    """Of a large fleet who has the engine, is ready, and holds fewer jobs than it takes at a time."""
    await idle(db, 100)
    rare = await idle(db, 40, engine="acestep", slots=1)
    claim = "select queue.claim($1, '1 hour')"
    for number in rare[:4]:
        await queue.insert(engine="acestep")
        assert await db.fetchval(claim, number)
    await db.execute("update public.workers set draining = true where id = $1", rare[4])
    await db.execute("update public.workers set state = 'loading' where id = $1", rare[5])
    await queue.sweep()
    await called(db)
    for engine, workers in (("acestep", 34), ("sketch", 100), ("", 134)):
        await clock.passes(300)
        await queue.insert(engine=engine)
        assert await called(db) == [("generate", engine, workers, 34)]


async def test_a_large_fleet_is_called_four_times_a_second(db, queue, clock):
    """A second insert within 250 ms calls nobody; a beat makes up for it once it may, for what waits then, and only if something does."""
    [worker, *_] = await idle(db, 1020)
    beat = "select * from queue.beat($1, '{}', '{}')"
    await queue.insert()
    for _ in range(20):
        await clock.passes(10)
        await queue.insert()
        await db.execute(beat, worker)
    assert await called(db) == [("generate", "", 1020, 34)]
    await clock.passes(50)
    await db.execute(beat, worker)
    assert await called(db) == [("generate", "", 1020, 32 + 2 * 21)]
    await db.execute(beat, worker)
    assert await called(db) == [], "paid once"
    await db.execute("update public.jobs set run_at = 'infinity'")
    await clock.passes(300)
    await db.execute(beat, worker)
    await clock.passes(3000)
    await db.execute(beat, worker)
    assert await called(db) == [], "nothing waits"


async def test_what_nobody_took_is_called_again(db, queue, clock):
    """When those who looked had no luck, others are called 300 ms later, and so on until nobody has room."""
    [worker, *_] = await idle(db, 200)
    beat = "select * from queue.beat($1, '{}', '{}')"
    await queue.insert()
    for _ in range(3):
        assert await called(db) == [("generate", "", 200, 34)]
        await clock.passes(299)
        await db.execute(beat, worker)
        assert await called(db) == []
        await clock.passes(1)
        await db.execute(beat, worker)
    await called(db)
    await db.execute("update public.workers set draining = true")
    for _ in range(10):
        await clock.passes(300)
        await db.execute(beat, worker)
    assert await called(db) == []


async def test_no_engine_keeps_another_from_being_called(db, queue, clock):
    """Jobs for two engines, whose wake-ups were both swallowed: each is called within some beats, in whatever order."""
    [worker, *_] = await idle(db, 200) + await idle(db, 200, engine="acestep")
    for engine in ("acestep", "sketch"):
        await queue.insert(engine=engine)
    seen = set()
    for _ in range(40):
        seen |= {engine for _, engine, *_ in await called(db)}
        await clock.passes(300)
        await db.execute("select * from queue.beat($1, '{}', '{}')", worker)
    assert seen == {"sketch", "acestep"}


async def test_jobs_for_an_engine_that_nobody_has_take_no_turn(db, queue, clock):
    """They wait, and those of others are called for as if they did not."""
    [worker, *_] = await idle(db, 200)
    await queue.insert(engine="acestep")
    await clock.passes(300)
    await called(db)
    for _ in range(5):
        await queue.insert(engine="sketch")
        await clock.passes(300)
        await db.execute("select * from queue.beat($1, '{}', '{}')", worker)
        await clock.passes(300)
    assert {engine for _, engine, *_ in await called(db)} == {"sketch"}


async def test_few_are_called_for_webhooks(db, queue, clock):
    """An end with a callback calls eight workers of a hundred, whatever they do."""
    [worker, *_] = await idle(db, 100)
    await queue.insert(options={"callback_url": "https://example.com/hook"})
    job = await db.fetchval("select queue.claim($1, '1 hour')", worker)
    await called(db)
    await db.execute("select queue.finish($1, $2, $3)", job["id"], job["attempt"], worker)
    assert await called(db) == [("webhook", "", 100, 8)]
    await clock.passes(300)
    await db.execute("select * from queue.beat($1, '{}', '{}')", worker)
    assert await called(db) == [("webhook", "", 100, 8)], "nobody sent it"


async def test_a_clock_that_is_set_back_stops_no_wake_up(db, queue, clock):
    """An hour back: what was owed is paid, and another hour back the next insert calls."""
    [worker, *_] = await idle(db, 200)
    await queue.insert()
    await called(db)
    await clock.passes(-3_600_000)
    await db.execute("select * from queue.beat($1, '{}', '{}')", worker)
    assert len(await called(db)) == 1
    await clock.passes(-3_600_000)
    await queue.insert()
    assert len(await called(db)) == 1


async def test_counting_what_waits_scans_no_table(db, queue: Queue, clock):
    """A call among thousands of jobs reads some index entries for each worker, and never the table."""
    await idle(db, 60)
    await db.execute("insert into public.jobs (video_url) select 'https://v' from generate_series(1, 3000)")
    counted = "select seq_scan, idx_tup_fetch from pg_stat_xact_user_tables where relid = 'public.jobs'::regclass"
    async with db.transaction():
        before = await db.fetchrow(counted)
        assert await db.fetchval("select private.waiting('generate', '', 30)") == 30
        scans, fetched = (now - then for now, then in zip(await db.fetchrow(counted), before, strict=True))
    assert (scans, fetched <= 40) == (0, True)
