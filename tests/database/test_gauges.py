"""What is seen of the queue from outside: one call, whose cost is that of what is not over."""

from __future__ import annotations

import pytest

from tests.database.desk import Queue
from tests.database.test_plans import FINISHED, PENDING


async def gauges(db):
    return await db.fetchval("select queue.gauges()")


async def test_an_empty_queue_is_eight_empty_lanes(db):
    """Every lane is told also when nothing waits in it; there are no heads, no boxes and no webhooks."""
    told = await gauges(db)
    assert [(row["kind"], row["lane"], row["state"], row["count"]) for row in told["jobs"]] == [
        (kind, lane, "ready", 0) for kind in ("brief", "generate", "merge", "pack") for lane in ("batch", "interactive")
    ]
    assert (told["heads"], told["workers"], told["webhooks"]) == ([], [], {"pending": 0, "oldest_s": 0})


async def test_what_is_not_over_is_told_by_kind_lane_and_state(db, queue: Queue):
    """Ready, backed-off, paused and running jobs, the latter with their box's engine; ended ones are not told."""
    worker = await queue.worker()
    for _ in range(3):
        await queue.insert()
    await worker.fail(await worker.claim(), again=True)
    await db.execute(
        "update public.jobs set run_at = 'infinity' where id = any(array(select id from public.jobs where run_at is null limit 1))"
    )
    await worker.claim()
    await queue.submit("merge", p_options={"audio_url": "https://example.com/a.flac"})
    await queue.insert(options={"callback_url": "https://example.com/hook"}, lane="interactive", kind="generate")
    await db.execute("select queue.cancel(id) from public.jobs where lane = 'interactive' and kind = 'generate'")
    told = await gauges(db)
    assert {(row["kind"], row["lane"], row["state"], row["engine"]): row["count"] for row in told["jobs"] if row["count"]} == {
        ("generate", "batch", "backed_off", ""): 1,
        ("generate", "batch", "paused", ""): 1,
        ("generate", "batch", "running", "sketch"): 1,
        ("merge", "interactive", "ready", ""): 1,
    }  # fmt: skip
    assert told["workers"] == [{"state": "ready", "engine": "sketch", "count": 1}]
    assert told["webhooks"]["pending"] == 1
    assert told["webhooks"]["oldest_s"] >= 0


async def test_the_head_is_the_job_whose_turn_it_is(db, queue: Queue):
    """Its age is told, not that of the oldest job: priority goes first."""
    old, urgent = await queue.insert(), await queue.insert(priority=1)
    await db.execute("update public.jobs set created_at = now() - interval '1 hour' where id = $1", old)
    await db.execute("update public.jobs set created_at = now() - interval '1 minute' where id = $1", urgent)
    (head,) = (await gauges(db))["heads"]
    assert (head["kind"], head["lane"]) == ("generate", "batch")
    assert 60 <= head["waits_s"] < 3600
    await db.execute("select queue.cancel($1)", urgent)
    (head,) = (await gauges(db))["heads"]
    assert head["waits_s"] >= 3600


async def test_boxes_are_told_by_what_they_are(db, queue: Queue):
    """Draining and lost boxes are told apart from ready ones; one that was lost long ago is forgotten."""
    lost, long_lost, draining, _ = [await queue.worker(name) for name in ("lost", "long", "draining", "ready")]
    await lost.crash()
    await long_lost.crash()
    await queue.sweep()
    await db.execute("update public.workers set last_seen = now() - interval '2 hours' where id = $1", long_lost.id)
    await db.execute(
        "update public.workers set last_seen = now() - interval '50 minutes', lease = '30 seconds' where id = $1",
        lost.id,
    )
    await db.execute("select queue.drain('draining')")
    assert {row["state"]: row["count"] for row in (await gauges(db))["workers"]} == {
        "draining": 1,
        "lost": 1,
        "ready": 1,
    }
    assert draining.id


@pytest.mark.parametrize(("finished", "pending"), [(200, 5000), (5000, 200)], ids=["mostly pending", "mostly finished"])
async def test_history_costs_nothing(db, finished, pending):
    """Whatever ANALYZE saw, no table is scanned, and of jobs only rows that are not over are read."""
    await db.execute(FINISHED, finished)
    await db.execute(PENDING, pending)
    await db.execute("analyze public.jobs")
    counted = "select seq_scan, idx_tup_fetch from pg_stat_xact_user_tables where relid = 'public.jobs'::regclass"
    async with db.transaction():
        before = await db.fetchrow(counted)
        told = await gauges(db)
        scans, fetched = (now - then for now, then in zip(await db.fetchrow(counted), before, strict=True))
    assert sum(row["count"] for row in told["jobs"]) == pending
    assert scans == 0
    assert fetched <= pending + 4  # and a head for each lane
