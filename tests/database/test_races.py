"""Several connections at once: who waits for whom, and what holds when they are through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any
from uuid import UUID

import asyncpg

from tests.conftest import fixture
from tests.database.desk import Queue, Worker

NEWEST_ONLY = True


class Racer:
    """A connection of its own: `begin`s a transaction, or does something `meanwhile` another one is open."""

    def __init__(self, db: asyncpg.Connection) -> None:
        self.db = db
        self.transaction = db.transaction()

    def as_worker(self, worker: Worker) -> Worker:
        return Worker(self.db, worker.id)

    async def begin(self) -> None:
        await self.transaction.start()

    async def commit(self) -> None:
        await self.transaction.commit()


@fixture
async def race(dial):
    """Two connections: one opens a transaction and acts, the other acts meanwhile."""
    return Racer(await dial()), Racer(await dial())


async def blocked(db: asyncpg.Connection, act: Awaitable[Any], racer: Racer) -> asyncio.Task[Any]:
    """Start `act` on `racer` and return once it waits for a lock that somebody holds."""
    task = asyncio.ensure_future(act)
    pid = racer.db.get_server_pid()
    while not await db.fetchval("select cardinality(pg_blocking_pids($1)) > 0", pid):
        assert not task.done(), "it did not wait"
        await asyncio.sleep(0.005)
    return task


async def test_a_result_under_way_is_finished_before_the_job_is_taken(db, queue, race):
    """put_result holds the job FOR SHARE: a sweep skips it until the result is in, so no result slips in behind a requeue."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.crash()
    slow, _ = race
    await slow.begin()
    assert await slow.as_worker(worker).put(job) == "ok"
    assert await queue.sweep() == 0
    await slow.commit()
    assert await queue.sweep() == 1
    assert await queue.results(job) == [0]


async def test_a_result_behind_a_requeue_is_refused(db, queue, race):
    """A zombie's put_result that comes while a sweep takes its job waits for it and is then lost."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.crash()
    sweeper, zombie = race
    await sweeper.begin()
    assert await Queue(sweeper.db).sweep() == 1
    late = await blocked(db, zombie.as_worker(worker).put(job), zombie)
    await sweeper.commit()
    assert await late == "lost"
    assert await queue.results(job) == []


async def test_a_cancel_behind_a_finish_changes_nothing(db, queue, race):
    """The job was completed first: it stays completed."""
    job = await queue.insert()
    worker = await queue.worker()
    held = await worker.claim()
    await worker.put(held)
    finisher, canceller = race
    await finisher.begin()
    await finisher.as_worker(worker).finish(held)
    cancel = await blocked(db, canceller.db.fetchval("select queue.cancel($1)", job), canceller)
    await finisher.commit()
    assert (await cancel)["status"] == "completed"
    row = await queue.job(job)
    assert (row["status"], row["cancel_requested"]) == ("completed", False)


async def test_a_finish_behind_a_cancel_ends_as_cancelled(db, queue, race):
    """The user took the job back first: finish sees that and ends it as cancelled."""
    job = await queue.insert()
    worker = await queue.worker()
    held = await worker.claim()
    await worker.put(held)
    canceller, finisher = race
    await canceller.begin()
    await canceller.db.execute("select queue.cancel($1)", job)
    finish = await blocked(db, finisher.as_worker(worker).finish(held), finisher)
    await canceller.commit()
    assert await finish == "ok"
    assert (await queue.job(job))["status"] == "cancelled"


async def test_a_cancel_behind_a_claim_reaches_the_worker(db, queue, race):
    """A pending job that is claimed while it is cancelled is not torn: it runs, and its worker is asked to stop."""
    job = await queue.insert()
    worker = await queue.worker()
    claimer, canceller = race
    await claimer.begin()
    held = await claimer.as_worker(worker).claim()
    cancel = await blocked(db, canceller.db.fetchval("select queue.cancel($1)", job), canceller)
    await claimer.commit()
    assert (await cancel)["status"] == "processing"
    assert await worker.put(held) == "cancelled"


async def test_a_claim_behind_a_cancel_goes_on_to_the_next_job(queue, race):
    """A claim waits for nobody: it skips the job that is being cancelled."""
    job, other = await queue.insert(), await queue.insert()
    worker = await queue.worker()
    canceller, claimer = race
    await canceller.begin()
    await canceller.db.execute("select queue.cancel($1)", job)
    assert (await claimer.as_worker(worker).claim())["id"] == str(other)
    await canceller.commit()
    assert (await queue.job(job))["status"] == "cancelled"


async def test_leaving_behind_a_claim_hands_that_job_back_too(db, queue, race):
    """A claim that is under way when its worker signs off leaves no job with a worker that is gone."""
    job = await queue.insert()
    worker = await queue.worker()
    claimer, leaver = race
    await claimer.begin()
    assert await claimer.as_worker(worker).claim()
    leave = await blocked(db, leaver.db.execute("select queue.leave($1)", worker.id), leaver)
    await claimer.commit()
    await leave
    assert (await queue.job(job))["status"] == "pending"


async def test_a_claim_behind_leaving_gets_nothing(db, queue, race):
    """Once its worker signs off, a claim of it waits to see that and comes back empty."""
    job = await queue.insert()
    worker = await queue.worker()
    leaver, claimer = race
    await leaver.begin()
    await leaver.db.execute("select queue.leave($1)", worker.id)
    claim = await blocked(db, claimer.as_worker(worker).claim(), claimer)
    await leaver.commit()
    assert await claim is None
    assert (await queue.job(job))["status"] == "pending"


async def test_a_claim_of_a_worker_that_is_being_given_up_gets_nothing(db, queue, race):
    """A zombie that claims while a sweep gives it up does not end with a job that nobody would ever rescue."""
    job = await queue.insert()
    worker = await queue.worker()
    await worker.crash()
    sweeper, zombie = race
    await sweeper.begin()
    await Queue(sweeper.db).sweep()
    assert await zombie.as_worker(worker).claim() is None
    await sweeper.commit()
    assert (await queue.job(job))["status"] == "pending"


async def test_a_beat_behind_a_sweep_hears_what_was_taken(db, queue, race):
    """A beat that comes while the worker is given up waits, then tells it what it lost, and the worker is back."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.crash()
    sweeper, heart = race
    await sweeper.begin()
    await Queue(sweeper.db).sweep()
    beat = await blocked(db, heart.as_worker(worker).beat(job), heart)
    await sweeper.commit()
    assert await beat == {UUID(job["id"]): "lost"}
    assert await db.fetchval("select state from public.workers where id = $1", worker.id) == "ready"


async def test_a_sweep_behind_a_beat_leaves_the_worker_alone(queue, race):
    """A beat under way counts: the sweep skips the worker and takes nothing."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.crash()
    heart, _ = race
    await heart.begin()
    assert await heart.as_worker(worker).beat(job) == {}
    assert await queue.sweep() == 0
    await heart.commit()
    assert await queue.sweep() == 0


async def test_two_sweeps_count_one_crash(queue, race):
    """Sweeps at the same time share the work: a job is taken once."""
    job = await queue.insert()
    worker = await queue.worker()
    await worker.claim()
    await worker.crash()
    one, other = race
    await one.begin()
    assert [await Queue(one.db).sweep(), await Queue(other.db).sweep()] == [1, 0]
    await one.commit()
    assert (await queue.job(job))["crashes"] == 1


async def test_the_same_result_twice_at_once_is_one_row(db, queue, race):
    """Two writes of one index wait for each other: the second is content and writes nothing."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    one, other = race
    await one.begin()
    await one.as_worker(worker).put(job, 0, title="first")
    second = await blocked(db, other.as_worker(worker).put(job, 0, title="second"), other)
    await one.commit()
    assert await second == "ok"
    assert await db.fetch("select title from public.results") == [("first",)]
