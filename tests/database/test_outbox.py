"""Webhooks: made with the end of a job, delivered at least once."""

import json
from datetime import timedelta
from uuid import UUID

import pytest

from tests.conftest import fixture

HOOK = "https://hooks.example.com/done?key=1"
LICENCE = {"name": "CC-BY-NC-4.0", "commercial": False, "url": "https://creativecommons.org/licenses/by-nc/4.0/"}


@fixture
async def ended(queue):
    """Ends a job with a callback_url and returns its id."""

    async def end(**options):
        await queue.insert(video_url="https://example.com/a.mp4?token=secret", options={"callback_url": HOOK} | options)
        worker = await queue.worker()
        job = await worker.claim()
        await worker.put(job, licence=LICENCE)
        await worker.finish(job)
        return UUID(job["id"])

    return end


async def claim(db, worker, lease: timedelta = timedelta(minutes=1)):
    return await db.fetchval("select queue.claim_delivery($1, $2)", worker.id, lease)


async def settle(db, delivery, worker, delivered, *more):
    places = "".join(f", ${i}" for i in range(5, 5 + len(more)))
    assert delivery["id"] != delivery["job_id"]
    return await db.fetchval(
        f"select queue.settle_delivery($1, $2, $3, $4{places})",
        delivery["id"],
        delivery["attempt"],
        worker.id,
        delivered,
        *more,
    )


async def due(db) -> None:
    await db.execute("update public.deliveries set next_at = now() where state = 'pending'")


@pytest.mark.parametrize("end", ["finish", "fail", "cancel", "cancel pending", "sweep"])
async def test_every_end_of_a_job_makes_its_webhook(db, queue, end):
    """Completed, failed, cancelled, or killed by crashes: the delivery is there in the same transaction."""
    job_id = await queue.insert(options={"callback_url": HOOK}, crashes=1)
    worker = await queue.worker()
    job = None if end == "cancel pending" else await worker.claim()
    assert await db.fetchval("select count(*) from public.deliveries") == 0
    if end == "finish":
        await worker.finish(job)
    elif end == "fail":
        await worker.fail(job, again=False)
    elif end == "sweep":
        await worker.crash()
        await queue.sweep()
    else:
        await db.execute("select queue.cancel($1)", job_id)
        if job:
            await worker.finish(job)
    row = await db.fetchrow("select * from public.deliveries")
    assert (row["job_id"], row["url"], row["state"], row["attempt"]) == (job_id, HOOK, "pending", 0)


async def test_no_callback_no_webhook(db, queue):
    """A job without callback_url ends without a delivery; so does one that is only retried."""
    await queue.insert()
    worker = await queue.worker()
    await worker.finish(await worker.claim())
    await queue.insert(options={"callback_url": HOOK})
    await worker.fail(await worker.claim(), again=True)
    assert await db.fetchval("select count(*) from public.deliveries") == 0


async def test_the_body_is_the_answer_without_query_strings(db, queue, ended):
    """A delivery says what happened when, and what GET would answer but for wave forms, speech and what was planned; a query string, which may hold a key, stays at home."""
    job_id = await ended(metadata={"order": "4711"})
    worker = await queue.worker()
    delivery = await claim(db, worker)
    assert (delivery["job_id"], delivery["url"], delivery["attempt"]) == (str(job_id), HOOK, 1)
    answer = await db.fetchval("select queue.answer($1)", job_id)
    assert (delivery["body"]["type"], delivery["body"]["timestamp"]) == ("job.completed", answer["finished_at"])
    for name in ("queue_position", "progress", "eta_s", "directions", "hits", "segments", "speech"):
        del answer[name]
    del answer["results"][0]["peaks"]
    assert delivery["body"]["data"] == answer | {"video_url": "https://example.com/a.mp4"}
    assert (answer["status"], answer["completed_count"], answer["metadata"]) == ("completed", 1, {"order": "4711"})
    assert delivery["body"]["data"]["results"][0]["licence"] == LICENCE


@pytest.mark.parametrize(
    ("events", "told"),
    [
        (["job.completed"], ["job.completed"]),
        (["job.failed", "job.cancelled"], []),
        (["result.ready"], ["result.ready", "result.ready"]),
        (["result.ready", "job.completed"], ["job.completed", "result.ready", "result.ready"]),
    ],
)
async def test_a_job_tells_what_it_was_asked_to(db, queue, events, told):
    """`events` chooses among the ends and each result, which is told when it is there; each has a message of its own."""
    job_id = await queue.insert(options={"variants": 2, "callback_url": HOOK, "events": events, "metadata": {"a": "b"}})
    worker = await queue.worker()
    job = await worker.claim()
    for index in (0, 1, 1):
        await worker.put(job, index=index, licence=LICENCE)
    ready = [await claim(db, worker) for _ in range(told.count("result.ready"))]
    assert {delivery["body"]["data"]["index"] for delivery in ready} == {0, 1} & {*range(len(ready))}
    for delivery in ready:
        assert delivery["body"]["data"].items() >= {"job_id": str(job_id), "metadata": {"a": "b"}}.items()
        assert delivery["body"]["data"]["audio_url"]
        assert delivery["body"]["data"]["licence"] == LICENCE
        assert "peaks" not in delivery["body"]["data"]
    await worker.finish(job)
    ready += [end for end in [await claim(db, worker)] if end]
    assert sorted(delivery["body"]["type"] for delivery in ready) == told
    assert len({delivery["id"] for delivery in ready}) == len(told)


@pytest.mark.parametrize("event", ["job.completed", "result.ready"])
async def test_a_body_is_never_over_20_kb(db, queue, event):
    """Whatever texts a job holds: a body with the longest of them says the short members and all of its metadata, byte for byte."""
    metadata = {f"{n:040}": "🎻" * 200 for n in range(16)}
    await queue.insert(
        user_request="\x01" * 2000,
        options={"callback_url": HOOK, "events": [event], "metadata": metadata, "variants": 8},
    )
    worker = await queue.worker()
    job = await worker.claim()
    for index in range(8):
        await worker.put(job, index=index, title="ü" * 200, description="🎻" * 2000, prompt="x" * 1000, peaks="A" * 216)
    await worker.finish(job)
    body = (await claim(db, worker))["body"]
    assert len(json.dumps(body, ensure_ascii=False).encode()) < 20_000
    assert body["data"]["metadata"] == metadata
    assert body["type"] == event


async def test_a_receiver_that_wants_no_more_gets_no_more(db, queue):
    """p_again false forgets the callback: what waits for it fails, and what would come later is not made."""
    options = {"variants": 3, "callback_url": HOOK, "events": ["result.ready", "job.completed"]}
    await queue.insert(options=options)
    worker = await queue.worker()
    job = await worker.claim()
    await worker.put(job, index=0)
    await worker.put(job, index=1)
    first = await claim(db, worker)
    assert await settle(db, first, worker, False, "410", False) == "ok"
    await worker.put(job, index=2)
    await worker.finish(job)
    states = await db.fetch("select state, last_error from public.deliveries")
    assert [tuple(row) for row in states] == [("failed", "410")] * 2


async def test_a_receiver_says_when_it_wants_the_next_try(db, queue, ended):
    """Not before p_wait_s, where that is longer than our own pause, and not later than a day."""
    await ended()
    worker = await queue.worker()
    for wait_s, low, high in ((0, 4, 11), (1000, 998, 1001), (1e12, 86_398, 86_401)):
        await due(db)
        await settle(db, await claim(db, worker), worker, False, "429", True, float(wait_s))
        wait = await db.fetchval("select extract(epoch from next_at - now())::float from public.deliveries")
        assert low < wait < high


async def test_a_delivery_under_way_belongs_to_one_worker(db, queue, ended):
    """While the lease runs nobody else gets it; when it is over, the next worker tries and the first is fenced off."""
    await ended()
    one, other = await queue.worker(), await queue.worker()
    first = await claim(db, one)
    assert await claim(db, other) is None
    await due(db)
    second = await claim(db, other)
    assert second["attempt"] == 2
    assert await settle(db, first, one, True) == "lost"
    assert await settle(db, second, other, True) == "ok"
    row = await db.fetchrow("select * from public.deliveries")
    assert (row["state"], row["next_at"], row["worker_id"]) == ("delivered", None, None)
    assert row["delivered_at"] is not None


@pytest.mark.parametrize("attempt", [0, 12])
async def test_a_delivery_that_is_being_taken_holds_nobody_up(db, queue, ended, dial, attempt):
    """Guards both `skip locked`: while one worker holds a row, fresh or at its last try, another takes the next without waiting."""
    first, second = await ended(), await ended()
    await db.execute("update public.deliveries set attempt = $2, next_at = now() where job_id = $1", first, attempt)
    await db.execute("update public.deliveries set next_at = now() where job_id = $1", second)
    worker, other = await queue.worker(), await dial()
    await other.execute("set lock_timeout = '100ms'")
    async with db.transaction():
        await db.execute("select from public.deliveries where job_id = $1 for update", first)
        assert (await claim(other, worker))["job_id"] == str(second)
        assert await claim(other, worker) is None


async def test_an_old_try_of_the_same_worker_is_lost(db, queue, ended):
    """A worker whose first try outlived its lease and that took the delivery again speaks for the second try only."""
    await ended()
    worker = await queue.worker()
    first = await claim(db, worker)
    await due(db)
    second = await claim(db, worker)
    assert await settle(db, first, worker, False, "timeout") == "lost"
    assert await settle(db, second, worker, True) == "ok"


async def test_twelve_tries_then_it_has_failed(db, queue, ended):
    """Each failed try waits about twice as long as the one before; after the twelfth the row says failed and why."""
    await ended()
    worker = await queue.worker()
    waits = []
    for attempt in range(1, 13):
        await due(db)
        delivery = await claim(db, worker)
        assert delivery["attempt"] == attempt
        assert await settle(db, delivery, worker, False, f"HTTP 50{attempt}") == "ok"
        waits.append(await db.fetchval("select extract(epoch from next_at - now())::float from public.deliveries"))
    row = await db.fetchrow("select * from public.deliveries")
    assert (row["state"], row["last_error"], waits.pop()) == ("failed", "HTTP 5012", None)
    assert all(10 * 2**i / 2 - 1 <= wait <= min(10 * 2**i, 21600) for i, wait in enumerate(waits))
    assert await claim(db, worker) is None


async def test_a_hopeless_delivery_is_not_tried_again(db, queue, ended):
    """p_again false (a forbidden address, 410 Gone) ends it at once."""
    await ended()
    worker = await queue.worker()
    delivery = await claim(db, worker)
    assert await settle(db, delivery, worker, False, "a private address", False) == "ok"
    assert await db.fetchval("select state from public.deliveries") == "failed"


async def test_workers_that_die_while_delivering_burn_tries_only(db, queue, ended):
    """A worker that takes a delivery and dies leaves it to the next one; after twelve such tries it has failed."""
    await ended()
    worker = await queue.worker()
    for _ in range(12):
        await due(db)
        assert await claim(db, worker)
    await due(db)
    assert await claim(db, worker) is None
    row = await db.fetchrow("select * from public.deliveries")
    assert (row["state"], row["last_error"]) == ("failed", "the worker went away during the last try")


async def test_a_retried_job_tells_its_second_end_too(db, queue, ended):
    """When an operator retries a job, its new end is delivered, and the body is never that of a pending job."""
    job_id = await ended()
    await db.execute("select queue.retry($1)", job_id)
    assert await db.fetchval("select count(*) from public.deliveries") == 0
    worker = await queue.worker()
    await worker.finish(await worker.claim())
    delivery = await claim(db, worker)
    assert delivery["body"]["type"] == "job.completed"
    await settle(db, delivery, worker, True)
    await db.execute("select queue.retry($1)", job_id)
    await worker.finish(await worker.claim())
    anew = await claim(db, worker)
    assert anew["attempt"] == 1
    assert anew["id"] != delivery["id"]  # another message: who acts once for each must act on it
