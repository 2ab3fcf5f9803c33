"""Claim, sweep, settle: the way of a job to a worker and back."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest


async def test_a_claim_hands_over_the_whole_job(queue):
    """A worker gets the row and the indices that are done; the row says who holds it, since when, until when."""
    job_id = await queue.insert(user_request="calm", options={"seed": 7})
    worker = await queue.worker()
    job = await worker.claim()
    assert (job["id"], job["attempt"], job["worker_id"], job["status"]) == (str(job_id), 1, worker.id, "processing")
    assert (job["user_request"], job["options"], job["total_count"], job["done"]) == ("calm", {"seed": 7}, 3, [])
    row = await queue.job(job)
    assert row["deadline_at"] - row["claimed_at"] == timedelta(minutes=30)
    assert row["started_at"] == row["claimed_at"]


async def test_nothing_to_do_is_null(queue):
    """An empty queue answers null, not an error."""
    assert await (await queue.worker()).claim() is None


async def test_a_job_has_one_holder(queue):
    """What one worker holds, no other gets."""
    await queue.insert()
    one, other = await queue.worker(), await queue.worker()
    assert await one.claim()
    assert await other.claim() is None


async def test_a_worker_gets_only_its_kinds(queue):
    """A merge-only box never sees a generate job."""
    await queue.insert()
    worker = await queue.worker(kinds=("merge",))
    assert await worker.claim() is None
    await queue.insert(kind="merge", options={"audio_url": "https://a"})
    assert (await worker.claim())["kind"] == "merge"


@pytest.mark.parametrize(
    "state", ["draining = true", "state = 'gone'", "state = 'lost'", "last_seen = now() - 2 * lease"]
)
async def test_only_a_worker_in_good_standing_gets_work(db, queue, state):
    """A draining, gone, lost or silent worker gets nothing, and the job stays for others."""
    job = await queue.insert()
    worker = await queue.worker()
    await db.execute(f"update public.workers set {state} where id = $1", worker.id)
    assert await worker.claim() is None
    assert (await queue.job(job))["status"] == "pending"


async def test_an_unknown_worker_gets_nothing(db, queue):
    """A claim with an id that was never registered answers null."""
    await queue.insert()
    assert await db.fetchval("select queue.claim(0, '1 minute')") is None


async def test_whoever_claims_next_takes_a_dead_worker_s_job(db, queue):
    """No reaper process: the claim itself requeues the job of a worker whose lease is over, at once and with one more attempt."""
    await queue.insert()
    dead, living = await queue.worker("dead"), await queue.worker("living")
    lost = await dead.claim()
    await dead.put(lost, 0)
    await dead.crash()
    job = await living.claim()
    assert (job["id"], job["attempt"], job["crashes"], job["done"]) == (lost["id"], 2, 1, [0])
    assert job["error_code"] == "worker_lost"
    assert "the worker dead stopped answering" in job["error"]
    assert await db.fetchval("select state from public.workers where id = $1", dead.id) == "lost"


async def test_busy_workers_sweep_too(db, queue):
    """Dead workers' jobs are rescued within a second even while every claim finds other work."""
    await queue.insert(lane="interactive")
    dead, living = await queue.worker(), await queue.worker()
    lost = await dead.claim()
    await dead.crash()
    for _ in range(3):
        await queue.insert(lane="batch")
    await db.execute("select setval('private.swept_ms', (extract(epoch from clock_timestamp()) * 1000)::bigint - 1000)")
    await living.claim()
    assert (await queue.job(lost))["worker_id"] != dead.id


async def test_a_clock_that_was_set_back_does_not_stop_the_sweep(db, queue):
    """A last sweep in the future, as after a failover to a machine whose clock is behind, counts as none."""
    await queue.insert(lane="interactive")
    dead, living = await queue.worker(), await queue.worker()
    lost = await dead.claim()
    await dead.crash()
    await queue.insert(lane="batch")
    await db.execute(
        "select setval('private.swept_ms', (extract(epoch from clock_timestamp()) * 1000)::bigint + 3600000)"
    )
    await living.claim()
    assert (await queue.job(lost))["worker_id"] != dead.id


async def test_a_job_past_its_deadline_is_taken_from_a_living_worker(queue):
    """A hung GPU under a beating heart: the deadline ends the attempt, the heart is told that the job is lost."""
    await queue.insert()
    hung, other = await queue.worker(), await queue.worker()
    job = await hung.claim(timedelta(seconds=-1))
    assert (await other.claim())["id"] == job["id"]
    assert (await queue.job(job))["error_code"] == "timed_out"
    assert await hung.beat(job) == {UUID(job["id"]): "lost"}


async def test_a_job_that_kills_workers_is_stopped_after_two(queue):
    """The poison guard: the second crash fails the job for good, with attempts left."""
    await queue.insert(max_attempts=9)
    for _ in range(2):
        worker = await queue.worker()
        job = await worker.claim()
        await worker.crash()
    assert await queue.sweep() == 1
    row = await queue.job(job)
    assert (row["status"], row["error_code"], row["crashes"], row["attempt"]) == ("failed", "worker_lost", 2, 2)


async def test_a_poisonous_job_with_music_is_completed_with_what_exists(queue):
    """Two crashes after the first track: the user keeps that track, completed 1 of 3."""
    await queue.insert()
    for _ in range(2):
        worker = await queue.worker()
        job = await worker.claim()
        await worker.put(job, 0)
        await worker.crash()
    await queue.sweep()
    row = await queue.job(job)
    assert (row["status"], row["error"], await queue.results(job)) == ("completed", None, [0])


async def test_a_cancelled_job_of_a_dead_worker_is_cancelled_by_the_sweep(db, queue):
    """The wish of the user outlives the worker."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await db.execute("select queue.cancel($1)", job["id"])
    await worker.crash()
    await queue.sweep()
    assert (await queue.job(job))["status"] == "cancelled"


async def test_a_worker_that_wakes_up_before_anybody_noticed_goes_on(queue):
    """A late beat is a beat: nobody claimed in between, so nothing was taken and nothing is lost."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.crash()
    assert await worker.beat(job) == {}
    assert await queue.sweep() == 0
    assert await worker.put(job) == "ok"


async def test_a_sweep_takes_from_many_dead_workers(db, queue):
    """Ten boxes of a rack die at once: all their jobs are back after one sweep."""
    workers = [await queue.worker() for _ in range(10)]
    for worker in workers:
        for _ in range(3):
            await queue.insert()
            await worker.claim()
    for worker in workers:
        await worker.crash()
    assert await queue.sweep() == 30
    assert await db.fetchval("select count(*) from public.jobs where status = 'pending' and run_at is null") == 30
    assert await db.fetchval("select count(*) from public.workers where state = 'lost'") == 10


async def test_an_error_that_may_pass_waits_before_the_next_attempt(db, queue):
    """A retry is out of sight until it is due; next_due says how long; then it is claimed again with the next attempt."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.fail(job, again=True, code="unavailable", error="the host was away")
    await db.execute("update public.jobs set run_at = now() + interval '40 seconds'")
    assert await worker.claim() is None
    assert 39 < await db.fetchval("select queue.next_due()") <= 40
    row = await queue.job(job)
    assert (row["status"], row["error"], row["crashes"]) == ("pending", "the host was away", 0)
    await queue.no_more_waiting()
    assert (await worker.claim())["attempt"] == 2


async def test_nothing_that_waits_has_no_due_time(db):
    """next_due is null when no job is in backoff."""
    assert await db.fetchval("select queue.next_due()") is None


async def test_backoff_doubles_up_to_its_cap_and_is_jittered(db, queue):
    """The wait is drawn from 0 to 2 s, 4 s, 8 s ... after each attempt, never above the cap."""
    await db.execute("update private.settings set backoff_base = '1 second', backoff_cap = '6 seconds'")
    worker = await queue.worker()
    for attempts, limit in [(0, 2), (1, 4), (2, 6), (30, 6)]:
        waits = []
        for _ in range(12):
            await queue.insert(attempt=attempts, max_attempts=99)
            job = await worker.claim()
            await worker.fail(job, again=True)
            waits.append(
                (await db.fetchval("select run_at - now() from public.jobs where id = $1", job["id"])).total_seconds()
            )
            await db.execute("delete from public.jobs")
        assert -0.5 < min(waits) < max(waits) <= limit
        assert len(set(waits)) > 6


async def test_attempts_run_out(queue):
    """The third failure that may pass is the last: the job has failed and says why."""
    await queue.insert()
    worker = await queue.worker()
    for attempt in (1, 2, 3):
        await queue.no_more_waiting()
        job = await worker.claim()
        assert job["attempt"] == attempt
        assert await worker.fail(job, again=True, error="still away") == "ok"
    row = await queue.job(job)
    assert (row["status"], row["error"], row["error_code"]) == ("failed", "still away", "unavailable")
    assert row["finished_at"] is not None


async def test_an_error_that_cannot_pass_ends_the_job_at_once(queue):
    """A rejected job fails after one attempt."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.fail(job, again=False, code="rejected", error="not a video")
    row = await queue.job(job)
    assert (row["status"], row["attempt"], row["error_code"]) == ("failed", 1, "rejected")


async def test_a_running_job_shows_no_wait(queue):
    """A claimed job has left the backoff behind."""
    await queue.insert()
    worker = await queue.worker()
    await worker.fail(await worker.claim(), again=True)
    await queue.no_more_waiting()
    assert (await worker.claim())["run_at"] is None


async def test_interactive_work_is_seen_from_a_batch_job(db, queue):
    """interactive_waiting tells of waiting interactive work of the worker's kinds, of any priority above the default too."""
    both, merger = await queue.worker(), await queue.worker(kinds=("merge",))
    ask = "select queue.interactive_waiting($1)"
    await queue.insert(lane="batch")
    assert not await db.fetchval(ask, both.id)
    urgent = await queue.insert(lane="interactive", priority=3)
    assert await db.fetchval(ask, both.id)
    await db.execute("delete from public.jobs where id = $1", urgent)
    await queue.insert(lane="interactive")
    assert await db.fetchval(ask, both.id)
    assert not await db.fetchval(ask, merger.id)


async def test_a_write_for_an_unknown_job_is_lost(queue):
    """A lease on a job that does not exist does not hold."""
    worker = await queue.worker()
    assert await worker.put({"id": str(uuid4()), "attempt": 1}) == "lost"
