"""The judge of `make chaos` sees what it is there to see."""

from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import asyncpg
import pytest

from tests.chaos import audit

SOUND = {
    "jobs": 2, "completed": 1, "failed": 1, "lost": 0, "duplicated": 0, "zombie_writes": 0, "max_recovery_s": 6.5, "cancelled": 0,
    "missing": 0, "unexplained": 0, "unheard": 0, "changed": 0, "left": 0, "quit": 0,
}  # fmt: skip
BROKEN = ["lost", "duplicated", "zombie_writes", "missing", "unexplained", "unheard", "changed", "left", "quit"]


@pytest.fixture
async def db(database_url):
    """A connection to a database with the audit's triggers."""
    connection = await asyncpg.connect(database_url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(audit.SETUP)
    yield connection
    await transaction.rollback()
    await connection.close()


@pytest.fixture
def judge(db):
    """The verdict on jobs that ended so: `await judge({"status": "failed", ...}, ...)`; `seen` is what the harness saw."""

    async def judge(*jobs, results=0, **seen):
        await db.execute("alter table public.jobs disable trigger user")
        for job in jobs:
            columns = {"video_url": "https://example.com/a.mp4", "finished_at": datetime.now(UTC)} | job
            columns = {"id": uuid4(), "error": "so" if columns["status"] == "failed" else None} | columns
            places = ", ".join(f"${i}" for i in range(1, 1 + len(columns)))
            await db.execute(f"insert into public.jobs ({', '.join(columns)}) values ({places})", *columns.values())
            for index in range(results):
                await db.execute(
                    "insert into public.results (job_id, index, attempt, audio_url) values ($1, $2, 1, 'https://x/a.flac')",
                    columns["id"], index,
                )  # fmt: skip
        receiver = SimpleNamespace(heard=set(), forged=0)
        nothing = {"inserted": len(jobs), "deaths": [], "cancels": set(), "receiver": receiver}
        return await audit.judge(db, **nothing | {"changed": 0, "left": 0, "quit": 0} | seen)

    return judge


@pytest.mark.parametrize("field", BROKEN)
def test_a_broken_invariant_is_not_clean(field):
    """One count that should be 0 spoils the run."""
    assert audit.Verdict(**SOUND).clean
    assert not audit.Verdict(**SOUND | {field: 1}).clean


@pytest.mark.parametrize("columns", [{"completed": 0, "failed": 2}, {"max_recovery_s": float("inf")}])
def test_a_run_in_which_nothing_works_is_not_clean(columns):
    """Failures alone are no success, and neither is a job that nobody took over."""
    assert not audit.Verdict(**SOUND | columns).clean


@pytest.mark.parametrize(
    ("columns", "unexplained"),
    [
        ({"status": "failed", "error_code": "worker_lost", "crashes": 2}, 0),
        ({"status": "failed", "error_code": "worker_lost", "crashes": 1}, 1),
        ({"status": "failed", "error_code": "internal", "crashes": 2}, 1),
        ({"status": "failed", "error_code": "storage_unavailable", "attempt": 30}, 1),
        ({"status": "cancelled", "cancel_requested": True}, 1),
        ({"status": "completed", "cancel_requested": True}, 1),
    ],
)
async def test_only_two_crashes_fail_a_job(judge, columns, unexplained):
    """Any other failure, also after many outages of our own, a cancel that nobody asked for, and one that was not heeded are unexplained."""
    assert (await judge(columns)).unexplained == unexplained


async def test_a_cancel_that_was_asked_for_is_explained(judge):
    """A job that the harness cancelled may end so."""
    job = uuid4()
    assert (await judge({"id": job, "status": "cancelled", "cancel_requested": True}, cancels={job})).unexplained == 0


@pytest.mark.parametrize(("crashes", "lost"), [(0, 1), (1, 1), (2, 0)])
async def test_a_variant_that_is_missing_is_lost(judge, crashes, lost):
    """A job is complete with fewer tracks only when the crash cap ended it."""
    columns = {"status": "completed", "total_count": 3, "crashes": crashes}
    assert (await judge(columns, results=2)).lost == lost


async def test_a_death_that_nobody_noticed_is_infinite(judge):
    """A job of a dead worker that was neither claimed again nor ended is not "recovered in 0 s"."""
    job = uuid4()
    waiting = {"id": job, "status": "pending", "finished_at": None, "attempt": 1}  # and no event says how
    verdict = await judge(waiting, deaths=[(datetime.now(UTC), job, 1)])
    assert (verdict.max_recovery_s, verdict.lost) == (float("inf"), 1)


async def test_an_end_that_a_callback_did_not_hear(judge):
    """Each ended job with a callback has to be told, with the status it ended with; a missing job is missed, too."""
    job, told = uuid4(), SimpleNamespace(heard=set(), forged=0)
    ended = {
        "id": job,
        "status": "failed",
        "error_code": "worker_lost",
        "crashes": 2,
        "options": '{"callback_url": "http://x"}',
    }
    assert (await judge(ended, receiver=told)).unheard == 1
    told.heard.add((str(job), "completed"))
    assert (await judge(receiver=told, inserted=2)).unheard == 1
    told.heard.add((str(job), "failed"))
    verdict = await judge(receiver=told, inserted=2)
    assert (verdict.unheard, verdict.missing) == (0, 1)
