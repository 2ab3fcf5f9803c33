"""A worker's life: register, ready, beat, leave; and what operators see and ask."""

import json
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest


async def state(db, worker) -> str:
    return await db.fetchval("select state from public.workers where id = $1", worker.id)


async def test_each_start_is_a_new_worker(db, queue):
    """A worker that comes back is another incarnation: its old id opens no fence."""
    await queue.insert()
    old = await queue.worker("box-1")
    job = await old.claim()
    new = await queue.worker("box-1")
    assert new.id != old.id
    assert await new.put(job) == "lost"


async def test_a_worker_is_loading_until_it_is_ready(db, queue):
    """register, then ready: the time of both and the engine's name are in the row."""
    worker = await db.fetchval("select queue.register('b', '{generate}', '{}', '1.0', '30 seconds')")
    row = await db.fetchrow("select * from public.workers where id = $1", worker)
    assert (row["state"], row["ready_at"], row["lease"]) == ("loading", None, timedelta(seconds=30))
    await db.execute("select queue.ready($1, 'mmaudio large')", worker)
    row = await db.fetchrow("select * from public.workers where id = $1", worker)
    assert (row["state"], row["engine"]) == ("ready", "mmaudio large")
    assert row["ready_at"] is not None


@pytest.mark.parametrize("arguments", ["'', '{generate}'", "'b', '{}'", "'b', '{remix}'"])
async def test_a_worker_without_name_or_known_kind_cannot_register(db, arguments):
    """Names and kinds are checked by the table."""
    with pytest.raises(asyncpg.CheckViolationError):
        await db.execute(f"select queue.register({arguments}, '{{}}', '', '30 seconds')")


async def test_workers_that_died_a_week_ago_are_forgotten(db, queue):
    """Registering clears old rows, except those that still hold a job."""
    await queue.insert()
    holder, idle = await queue.worker(), await queue.worker()
    await holder.claim()
    await db.execute("update public.workers set last_seen = now() - interval '8 days'")
    await queue.worker()
    left = {row["id"] for row in await db.fetch("select id from public.workers")}
    assert holder.id in left
    assert idle.id not in left


async def test_a_beat_names_what_to_stop(db, queue):
    """Lost and cancelled jobs are named, healthy ones are not."""
    for _ in range(3):
        await queue.insert()
    worker, heir = await queue.worker(), await queue.worker()
    healthy, cancelled, lost = [await worker.claim() for _ in range(3)]
    await db.execute("select queue.cancel($1)", cancelled["id"])
    await worker.release(lost)
    await queue.sweep()
    assert (await heir.claim())["id"] == lost["id"]
    assert await worker.beat(healthy, cancelled, lost) == {
        UUID(cancelled["id"]): "cancelled",
        UUID(lost["id"]): "lost",
    }


async def test_a_beat_hands_back_what_the_worker_does_not_know_of(db, queue):
    """A claim whose answer was lost does not keep its job until the deadline; one whose answer may still come is left alone."""
    for _ in range(3):
        await queue.insert()
    worker = await queue.worker()
    known, unknown, fresh = [await worker.claim() for _ in range(3)]
    await db.execute("update public.jobs set claimed_at = now() - interval '1 minute' where id <> $1", fresh["id"])
    assert await worker.beat(known) == {}
    assert {(await queue.job(j))["status"] for j in (known, fresh)} == {"processing"}
    row = await queue.job(unknown)
    assert (row["status"], row["attempt"], row["max_attempts"], row["crashes"]) == ("pending", 1, 4, 0)
    assert await worker.put(unknown) == "lost"


async def test_two_leases_of_one_job_are_told_apart(db, queue):
    """A worker that got its own overdue job again hears that the first lease is lost, and only that."""
    await queue.insert()
    worker = await queue.worker()
    first = await worker.claim()
    await db.execute("update public.jobs set deadline_at = now() - interval '1 second'")
    second = await worker.claim()
    assert (second["id"], second["attempt"]) == (first["id"], 2)
    rows = await db.fetch(
        "select * from queue.beat($1, $2, $3)", worker.id, [first["id"], second["id"]], [first["attempt"], 2]
    )
    assert [tuple(row) for row in rows] == [(UUID(first["id"]), 1, "lost")]


@pytest.mark.parametrize(
    ("silence", "lease", "behind"), [("21 s", "1 minute", 50), ("21 s", "4 s", 0), ("19 s", "1 minute", None)]
)
async def test_after_a_silence_of_all_everybody_has_ten_seconds_to_come_back(db, queue, silence, lease, behind):
    """When no worker at all was heard, it was the database that could not be reached: the first who is heard must not inherit from the others at once."""
    worker = await queue.worker()
    await db.execute("update public.workers set lease = $1::text::interval", lease)
    await db.execute("select setval('private.heard_ms', 1)")
    ms = "(extract(epoch from clock_timestamp()) * 1000)::bigint"
    await db.execute(
        f"select setval('private.beat_ms', {ms} - extract(epoch from $1::text::interval)::bigint * 1000)", silence
    )
    await worker.beat()
    since = await db.fetchval(f"select ({ms} - pg_sequence_last_value('private.heard_ms')) / 1000.0")
    assert since > 1e9 if behind is None else behind <= since < behind + 10


async def test_a_lost_worker_comes_back_with_a_beat(db, queue):
    """A frozen worker that thaws hears that its job is lost, and is ready for the next one."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.crash()
    await queue.sweep()
    assert await state(db, worker) == "lost"
    assert await worker.beat(job) == {UUID(job["id"]): "lost"}
    assert await state(db, worker) == "ready"
    assert (await worker.claim())["attempt"] == 2


async def test_a_worker_lost_while_loading_comes_back_loading(db, queue):
    """A beat does not make a box ready that has not loaded its models."""
    worker = await queue.worker()
    await db.execute("update public.workers set state = 'loading', ready_at = null where id = $1", worker.id)
    await worker.crash()
    await queue.sweep()
    await worker.beat()
    assert await state(db, worker) == "loading"


async def test_a_beat_of_nobody_loses_everything(db, queue):
    """A worker whose row is gone, or that signed off, is told so, and that all of its jobs are lost."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await db.execute("select queue.leave($1)", worker.id)
    assert await worker.beat(job) == {None: "gone", UUID(job["id"]): "lost"}
    await db.execute("select queue.ready($1, 'x')", worker.id)
    assert await state(db, worker) == "gone"


async def test_leaving_hands_everything_back(db, queue):
    """A worker that signs off leaves no job behind: they are pending, ready, and no attempt is burnt."""
    for _ in range(3):
        await queue.insert()
    worker = await queue.worker()
    for _ in range(3):
        await worker.claim()
    await db.execute("select queue.leave($1)", worker.id)
    rows = await db.fetch("select status, run_at, max_attempts - attempt as attempts_left from public.jobs")
    assert {tuple(row) for row in rows} == {("pending", None, 3)}
    assert await worker.claim() is None


async def test_draining_is_asked_by_name_and_heard_with_the_next_beat(db, queue):
    """Every living box of the name is asked; it gets no more jobs and keeps those it has."""
    await queue.insert()
    await queue.insert()
    worker, other = await queue.worker("rack-1"), await queue.worker("rack-2")
    job = await worker.claim()
    assert await db.fetchval("select queue.drain('rack-1')") == 1
    assert await worker.beat(job) == {None: "drain"}
    assert await worker.claim() is None
    assert await worker.put(job) == "ok"
    assert await other.beat() == {}
    assert await db.fetchval("select queue.drain('nobody')") == 0


async def test_operators_see_boxes_and_what_they_do(db, queue):
    """workers() lists every worker that has not signed off, with its jobs, their stage and since when."""
    await queue.insert(lane="interactive")
    busy, silent, gone = await queue.worker("a"), await queue.worker("b"), await queue.worker("c")
    job = await busy.claim()
    await busy.stage(job, "composing")
    await silent.crash()
    await db.execute("select queue.leave($1)", gone.id)
    one, two = await db.fetch("select * from queue.workers()")
    assert (one["name"], one["state"], one["draining"]) == ("a", "ready", False)
    (doing,) = one["jobs"]
    assert doing.pop("since")
    assert doing == {"job_id": job["id"], "kind": "generate", "lane": "interactive", "stage": "composing", "attempt": 1}
    assert (two["name"], two["state"], two["jobs"]) == ("b", "lost", [])


async def test_health_counts_the_living(db, queue):
    """health tells how many workers beat and how many of them take work."""
    for name in "abc":
        await queue.worker(name)
    await (await queue.worker("d")).crash()
    await db.execute("select queue.drain('a')")
    health = await db.fetchval("select queue.health()")
    assert (health["workers"], health["workers_ready"]) == (3, 2)


async def test_an_operator_gives_a_failed_job_three_more_attempts(db, queue):
    """retry makes a failed job pending again, ready at once; the attempt goes on counting."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.fail(job, again=False)
    answer = await db.fetchval("select queue.retry($1)", job["id"])
    assert (answer["status"], answer["error"]) == ("pending", None)
    assert await worker.finish(job) == "lost"
    again = await worker.claim()
    assert (again["attempt"], again["max_attempts"], again["crashes"]) == (2, 4, 0)


async def test_an_operator_may_ask_for_the_missing_tracks(db, queue):
    """A job that was completed with one of three can be tried again for the other two; a whole one cannot."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.put(job, 1)
    await worker.finish(job)
    await db.execute("select queue.retry($1)", job["id"])
    job = await worker.claim()
    assert job["done"] == [1]
    with pytest.raises(asyncpg.InvalidParameterValueError, match="is processing"):
        await db.execute("select queue.retry($1)", job["id"])
    await worker.put(job, 0)
    await worker.put(job, 2)
    await worker.finish(job)
    with pytest.raises(asyncpg.InvalidParameterValueError, match="all of its results"):
        await db.execute("select queue.retry($1)", job["id"])


async def test_a_retry_of_nothing_is_null(db):
    """An unknown job is null, as everywhere."""
    assert await db.fetchval("select queue.retry(gen_random_uuid())") is None


async def test_a_beat_writes_rarely(db, queue):
    """Beats come often; the row is written once a quarter of the lease has passed, at most every 7.5 seconds."""
    worker = await queue.worker()
    for lease, age, written in [
        ("30 s", "7 s", False),
        ("30 s", "7.6 s", True),
        ("2 min", "7.6 s", True),
        ("4 s", "1.1 s", True),
    ]:
        await db.execute(
            f"update public.workers set lease = '{lease}', last_seen = now() - interval '{age}' where id = $1",
            worker.id,
        )
        await worker.beat()
        assert (
            await db.fetchval(
                "select now() - last_seen < interval '0.5 s' from public.workers where id = $1", worker.id
            )
            == written
        )


async def test_a_beat_under_a_held_snapshot_stays_as_short(db, dial, queue):
    """With a dump at work, which keeps every dead version, a beat that writes reads as little after 2,000 writes as at first."""
    worker = await queue.worker()
    await db.execute("update public.workers set lease = '1 microsecond'")
    await db.execute("vacuum full public.workers")
    await db.execute("analyze public.workers")  # plans are made for a table of one page
    holder = await dial()
    async with holder.transaction(isolation="repeatable_read"):
        await holder.fetchval("select count(*) from public.workers")

        async def pages() -> int:
            plan = await db.fetchval(
                "explain (analyze, buffers, format json) select queue.beat($1, '{}', '{}')", worker.id
            )
            return (plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"]["Shared Hit Blocks"]

        await worker.beat()
        first = min([await pages() for _ in range(20)])
        for _ in range(2000):
            await worker.beat()
        assert min([await pages() for _ in range(20)]) <= first + 4
