"""Many workers and doors at the same moment: nothing twice, nothing left, nobody refused."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from uuid import UUID

from tests.database.desk import Queue, Worker

NEWEST_ONLY = True


async def test_many_claims_at_once_give_each_job_to_one(queue, dial):
    """Eight workers empty a queue of two hundred at the same time: no job twice, none left, none refused."""
    for _ in range(200):
        await queue.insert()
    workers = [Worker(await dial(), (await queue.worker()).id) for _ in range(8)]

    async def empty(worker: Worker) -> list[str]:
        mine = []
        while job := await worker.claim():
            mine.append(job["id"])
        return mine

    claimed = [job for mine in await asyncio.gather(*map(empty, workers)) for job in mine]
    assert len(claimed) == len(set(claimed)) == 200


async def test_one_key_at_once_is_one_job(queue, dial):
    """Eight doors get the same request with the same key at the same moment: one job, eight times its id."""
    doors = [Queue(await dial()) for _ in range(8)]
    ids = await asyncio.gather(*(door.submit(p_idempotency_key="a-key-of-sixteen-characters") for door in doors))
    assert len(set(ids)) == 1


async def test_a_flood_from_many_doors_stops_at_the_limit(db, queue, dial):
    """The limit holds for all replicas together, to the job."""
    await db.execute("update private.settings set pending_per_client = 5")
    doors = [Queue(await dial()) for _ in range(8)]
    answers = await asyncio.gather(*(door.submit(p_client="203.0.113.7") for door in doors), return_exceptions=True)
    assert Counter(isinstance(answer, UUID) for answer in answers) == {True: 5, False: 3}


async def test_each_webhook_has_one_worker_at_a_time(db, queue, dial):
    """Eight workers take forty deliveries at once: each is tried by one."""
    hook = {"callback_url": "https://hook"}
    for _ in range(40):
        await db.execute("select queue.cancel($1)", await queue.insert(options=hook))
    workers = [Worker(await dial(), (await queue.worker()).id) for _ in range(8)]

    async def empty(worker: Worker) -> list[str]:
        mine = []
        while delivery := await worker.db.fetchval("select queue.claim_delivery($1)", worker.id):
            mine.append(delivery["job_id"])
        return mine

    taken = [job for mine in await asyncio.gather(*map(empty, workers)) for job in mine]
    assert len(taken) == len(set(taken)) == 40


async def test_a_wild_crowd_neither_deadlocks_nor_loses_a_job(db, queue, dial):
    """Six workers that work, crash, thaw, hand back and get cancelled, all at once, on one pile of jobs: every statement
    succeeds, every job ends, and no index of a job has two results."""
    await db.execute("update private.settings set max_crashes = 1000, backoff_base = '1 microsecond'")
    jobs = [await queue.insert(max_attempts=1000, options={"variants": 2}) for _ in range(40)]

    async def live(seed: int) -> None:
        dice, connection, nurse = random.Random(seed), await dial(), await dial()
        worker = Worker(connection, (await Queue(nurse).worker(f"w{seed}")).id)
        for _ in range(1000):
            if not await nurse.fetchval("select count(*) from public.jobs where finished_at is null"):
                break
            await connection.execute("select setval('private.swept_ms', 0)")
            job = await worker.claim()
            if job is None:
                await worker.beat()
                continue
            fate = dice.random()
            await worker.put(job, dice.randrange(2))
            if fate < 0.25:
                await Worker(nurse, worker.id).crash()
                await asyncio.gather(worker.put(job, 1), Queue(nurse).sweep())
                if await worker.beat(job) == {}:
                    await worker.finish(job)
            elif fate < 0.4:
                await asyncio.gather(worker.release(job), Worker(nurse, worker.id).beat(job))
            elif fate < 0.5:
                await asyncio.gather(worker.finish(job), nurse.execute("select queue.cancel($1)", job["id"]))
            elif fate < 0.6:
                await worker.fail(job, again=True)
            elif fate < 0.7:
                await asyncio.gather(connection.execute("select queue.leave($1)", worker.id), Queue(nurse).sweep())
                worker = Worker(connection, (await Queue(nurse).worker(f"w{seed}")).id)
            else:
                await worker.put(job, 0)
                await worker.put(job, 1)
                await worker.finish(job)

    await asyncio.gather(*map(live, range(6)))
    states = [(await queue.job(job))["status"] for job in jobs]
    assert set(states) <= {"completed", "cancelled", "failed"}
    assert "completed" in states
