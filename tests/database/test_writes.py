"""Every write of a worker carries (job, attempt, worker) and is refused when that no longer holds."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest

NEWEST_ONLY = True
WRITES: dict[str, Callable[[Any, Any], Awaitable[str]]] = {
    "set_stage": lambda worker, job: worker.stage(job),
    "note": lambda worker, job: worker.note(job, "One sound was left out."),
    "preview": lambda worker, job: worker.preview(job, "https://s/p.mp4"),
    "save_plan": lambda worker, job: first(worker.plan(job, {"variants": []})),
    "put_result": lambda worker, job: worker.put(job, 1),
    "finish": lambda worker, job: worker.finish(job),
    "fail": lambda worker, job: worker.fail(job, again=True),
    "release": lambda worker, job: worker.release(job),
}


async def first(pair: Awaitable[tuple[str, Any]]) -> str:
    return (await pair)[0]


@pytest.fixture(params=WRITES)
def write(request):
    return WRITES[request.param]


async def everything(db) -> list:
    jobs = await db.fetch("select * from public.jobs order by id")
    return [*jobs, *await db.fetch("select * from public.results order by job_id, index")]


async def test_a_zombie_changes_nothing(db, queue, write):
    """A worker that wakes after its job went to another may try any write: it is told 'lost' and not a byte changes."""
    await queue.insert()
    zombie, heir = await queue.worker(), await queue.worker()
    job = await zombie.claim()
    await zombie.crash()
    assert await heir.claim()
    before = await everything(db)
    assert await write(zombie, job) == "lost"
    assert await everything(db) == before


async def test_an_old_attempt_of_the_same_worker_is_lost(db, queue, write):
    """The attempt is part of the fence: a late write of the first try does not count as one of the second."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.release(job)
    assert (await worker.claim())["attempt"] == 2
    before = await everything(db)
    assert await write(worker, job) == "lost"
    assert await everything(db) == before


async def test_another_worker_s_id_does_not_open_the_fence(db, queue, write):
    """Knowing job and attempt is not enough: the holder writes, nobody else."""
    await queue.insert()
    holder, other = await queue.worker(), await queue.worker()
    job = await holder.claim()
    before = await everything(db)
    assert await write(other, job) == "lost"
    assert await everything(db) == before


async def test_an_ended_job_stays_as_it_is(db, queue, write):
    """Terminal is terminal, also for the worker that ended it."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.put(job, 0)
    await worker.finish(job)
    before = await everything(db)
    assert await write(worker, job) == "lost"
    assert await everything(db) == before


async def test_a_pending_job_takes_no_writes(db, queue, write):
    """A job in backoff belongs to nobody."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.fail(job, again=True)
    before = await everything(db)
    assert await write(worker, job) == "lost"
    assert await everything(db) == before


async def test_the_stage_is_shown(queue):
    """set_stage writes where the job stands; a stage nobody knows is refused."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    assert await worker.stage(job, "describing") == "ok"
    assert (await queue.job(job))["stage"] == "describing"
    with pytest.raises(asyncpg.CheckViolationError, match="jobs_stage"):
        await worker.stage(job, "dreaming")


async def test_the_first_plan_holds(queue):
    """A retry finds the plan of the first attempt and makes the same music."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    plan = {"variants": [{"index": 0, "seed": 1}], "describer": "local"}
    assert await worker.plan(job, plan) == ("ok", plan)
    await worker.release(job)
    again = await worker.claim()
    assert again["plan"] == plan
    assert await worker.plan(again, {"variants": [], "describer": "other"}) == ("ok", plan)


async def test_the_first_preview_holds(db, queue):
    """It is shown with the job; what another attempt makes does not take its place."""
    job_id = await queue.submit()
    worker = await queue.worker()
    for url in ("https://s/1.mp4", "https://s/2.mp4"):
        job = await worker.claim()
        assert await worker.preview(job, url) == "ok"
        assert (await db.fetchval("select queue.answer($1)", job_id))["preview_url"] == "https://s/1.mp4"
        await worker.release(job)


async def test_a_note_is_kept_once(db, queue):
    """Sentences are shown in the order in which they were said, each once, also after a retry; of very many the first sixteen."""
    job_id = await queue.submit()
    worker = await queue.worker()
    job = await worker.claim()
    assert await worker.note(job, "First.") == "ok"
    await worker.note(job, "Second.")
    await worker.release(job)
    job = await worker.claim()
    await worker.note(job, "First.")
    assert await db.fetchval("select queue.answer($1) -> 'notes'", job_id) == ["First.", "Second."]
    for count in range(20):
        await worker.note(job, f"{count}: {'long' * 200}")
    notes = await db.fetchval("select queue.answer($1) -> 'notes'", job_id)
    assert (len(notes), max(map(len, notes))) == (16, 500)


async def test_a_job_with_music_is_completed(queue):
    """finish completes a job as soon as one track came out, and clears the traces of running."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.stage(job)
    await worker.put(job, 0)
    assert await worker.finish(job) == "ok"
    row = await queue.job(job)
    assert (row["status"], row["stage"], row["worker_id"], row["deadline_at"]) == ("completed", None, None, None)
    assert row["finished_at"] is not None


async def test_a_job_without_music_has_failed(queue):
    """finish with nothing to show is a failure that says so."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.finish(job)
    row = await queue.job(job)
    assert (row["status"], row["error_code"]) == ("failed", "no_result")


async def test_a_last_failure_with_music_is_completed(queue):
    """When some variants fail for good the job is completed with fewer tracks and no error."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.put(job, 0)
    await worker.fail(job, again=False, error="out of memory")
    row = await queue.job(job)
    assert (row["status"], row["error"], row["error_code"]) == ("completed", None, None)


async def test_an_old_error_is_gone_once_the_job_is_completed(queue):
    """The error of a retried attempt is in the row while it matters and not afterwards."""
    await queue.insert()
    worker = await queue.worker()
    await worker.fail(await worker.claim(), again=True, error="away")
    await queue.no_more_waiting()
    job = await worker.claim()
    assert (await queue.job(job))["error"] == "away"
    await worker.put(job, 0)
    await worker.finish(job)
    assert (await queue.job(job))["error"] is None


async def test_handing_back_burns_no_attempt(queue):
    """A release adds one to max_attempts, because the attempt, the fencing token, never goes down."""
    job_id = await queue.insert()
    worker = await queue.worker()
    for attempt in range(1, 6):
        job = await worker.claim()
        assert job["attempt"] == attempt
        assert await worker.release(job) == "ok"
    row = await queue.job(job_id)
    assert (row["status"], row["attempt"], row["max_attempts"], row["run_at"]) == ("pending", 5, 8, None)


async def test_a_cancelled_job_takes_no_results(db, queue):
    """After the cancel the writes answer 'cancelled', no row is written, and finish ends the job as cancelled."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.put(job, 0)
    await db.execute("select queue.cancel($1)", job["id"])
    assert await worker.stage(job) == "cancelled"
    assert (await worker.plan(job, {}))[0] == "cancelled"
    assert await worker.put(job, 1) == "cancelled"
    assert await queue.results(job) == [0]
    assert await worker.beat(job) == {UUID(job["id"]): "cancelled"}
    assert await worker.finish(job) == "ok"
    assert (await queue.job(job))["status"] == "cancelled"


@pytest.mark.parametrize("end", ["finish", "fail", "release"])
async def test_whatever_ends_a_cancelled_attempt_cancels_the_job(db, queue, end):
    """A job that the user took back is not retried, not handed back, not completed."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await db.execute("select queue.cancel($1)", job["id"])
    assert await WRITES[end](worker, job) == "ok"
    row = await queue.job(job)
    assert (row["status"], row["worker_id"], row["error"]) == ("cancelled", None, None)
    assert row["finished_at"] is not None


@pytest.mark.parametrize(("put", "status", "code"), [(False, "failed", "device_lost"), (True, "completed", None)])
async def test_a_job_that_breaks_devices_does_not_travel_through_all_of_them(queue, put, status, code):
    """Two boxes whose device broke under a job are enough: it ends, with what there is."""
    await queue.insert()
    worker = await queue.worker()
    for crashes in (1, 2):
        job = await worker.claim()
        if put:
            await worker.put(job)
        assert await worker.write("crash", job, "device_lost", "the GPU stopped working") == "ok"
        assert await worker.write("crash", job, "device_lost", "again") == "lost"
        row = await queue.job(job)
        assert (row["crashes"], row["run_at"]) == (crashes, None)
    assert (row["status"], row["error_code"]) == (status, code)
