"""What is seen live: wake-ups, events of a job, events of results; and that none of them can fail a write."""

import asyncio

import pytest


async def sent(db, topic: str) -> list:
    rows = await db.fetch(
        "select event, payload, private, extension from realtime.messages where topic = $1 order by inserted_at", topic
    )
    return [tuple(row) for row in rows]


async def events(db, job) -> list:
    return [(event, payload) for event, payload, *_ in await sent(db, f"job:{job}")]


async def test_one_wake_up_per_statement(db):
    """However many rows a backfill has, workers are woken once."""
    await db.execute("insert into public.jobs (video_url) select 'https://v' from generate_series(1, 500)")
    ((event, _, private, extension),) = await sent(db, "jobs")
    assert (event, private, extension) == ("wake", True, "broadcast")


@pytest.mark.parametrize("wakes", ["insert", "release", "end with a webhook", "retry"])
async def test_listeners_hear_of_new_work(db, queue, dial, wakes):
    """NOTIFY comes with every change that gives a worker something to do."""
    await queue.insert(options={"callback_url": "https://hook"})
    worker = await queue.worker()
    job = await worker.claim()
    if wakes == "retry":
        await worker.finish(job)
    heard = asyncio.Event()
    listener = await dial()
    await listener.add_listener("jobs", lambda *_: heard.set())
    if wakes == "insert":
        await queue.insert()
    elif wakes == "release":
        await worker.release(job)
    elif wakes == "retry":
        await db.execute("select queue.retry($1)", job["id"])
    else:
        await worker.finish(job)
    await asyncio.wait_for(heard.wait(), 120)


async def test_the_topic_of_a_job_tells_its_story(db, queue):
    """Claim, plan, stage, each result and the end, in this order, on the private topic of the job."""
    job = await queue.submit()
    worker = await queue.worker()
    held = await worker.claim()
    direction = {"title": "Dawn", "description": "A harp.", "tempo_bpm": 72, "key": "D minor"}
    direction |= {"prompt": "harp", "mood": "calm"}
    await worker.plan(held, {"variants": [{"index": 0, "seed": 7, "direction": direction}]})
    await worker.stage(held, "composing")
    licence = {"name": "MIT", "commercial": True, "url": "https://s/mit"}
    await worker.put(held, 0, title="Dawn", licence=licence)
    await worker.finish(held)
    event, plan = (told := await events(db, job)).pop(1)
    shown = {"index": 0, "title": "Dawn", "description": "A harp.", "tempo_bpm": 72, "key": "D minor"}
    assert (event, plan["job_id"], plan["directions"]) == ("plan", str(job), [shown])
    assert (await db.fetchval("select queue.answer($1)", job))["directions"] == [shown]
    assert [event for event, _ in told] == ["job", "job", "result", "job"]
    states = [(p["status"], p["stage"], p["completed_count"], p["total_count"]) for e, p in told if e == "job"]
    assert states == [("processing", None, 0, 3), ("processing", "composing", 0, 3), ("completed", None, 1, 3)]
    result = told[2][1]
    assert (result["job_id"], result["index"], result["title"], result["licence"]) == (str(job), 0, "Dawn", licence)


async def test_a_preview_is_told_when_it_is_there(db, queue):
    """Event `job` carries its address from then on."""
    job = await queue.submit()
    worker = await queue.worker()
    held = await worker.claim()
    await worker.preview(held, "https://s/p.mp4")
    await worker.preview(held, "https://s/other.mp4")
    await worker.finish(held)
    assert [payload["preview_url"] for _, payload in await events(db, job)] == [None, *["https://s/p.mp4"] * 2]


async def test_a_failure_is_told_when_it_is_final(db, queue):
    """A retry shows as pending without an error; the last failure carries error and code."""
    job = await queue.submit(p_options={"variants": 1})
    worker = await queue.worker()
    await worker.fail(await worker.claim(), again=True, error="away")
    await queue.no_more_waiting()
    await worker.fail(await worker.claim(), again=False, error="gone", code="rejected")
    told = [(p["status"], p["error"], p["error_code"]) for _, p in await events(db, job)]
    assert told == [
        ("processing", None, None), ("pending", None, None), ("processing", None, None), ("failed", "gone", "rejected"),
    ]  # fmt: skip


async def test_what_nobody_sees_is_not_told(db, queue):
    """Saving the plan once more, a beat, a due backoff change nothing that a user sees."""
    job = await queue.submit()
    worker = await queue.worker()
    held = await worker.claim()
    await worker.plan(held, {"variants": []})
    before = await events(db, job)
    await worker.plan(held, {"variants": []})
    await worker.beat(held)
    await db.execute("select queue.cancel($1)", job)
    assert await events(db, job) == before


async def test_a_broken_realtime_fails_no_write(db, queue):
    """With realtime.send gone, jobs are inserted, claimed, finished and cancelled all the same."""
    transaction = db.transaction()
    await transaction.start()
    await db.execute("drop function realtime.send(jsonb, text, text, boolean)")
    warnings = []
    db.add_log_listener(lambda _, message: warnings.append(message.message))
    await queue.submit()
    worker = await queue.worker()
    job = await worker.claim()
    assert await worker.put(job) == "ok"
    assert await worker.finish(job) == "ok"
    assert (await queue.job(job))["status"] == "completed"
    await transaction.rollback()
    assert any("not sent" in warning for warning in warnings)
