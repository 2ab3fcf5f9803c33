"""The loop of a worker, with a queue in memory: what is claimed, how it sleeps, how it drains."""

import asyncio
from datetime import timedelta

import pytest

from tests.worker.memory_queue import MemoryQueue, job, listener
from worker.errors import QueueClosed, QueueUnavailable


async def test_a_full_box_does_not_ask_what_is_due():
    """With every slot taken a due job cannot shorten the sleep, or the loop would spin until a slot is free."""
    go, asked = asyncio.Event(), []

    class Due(MemoryQueue):
        async def next_due(self):
            asked.append(len(listening._running))
            return timedelta(0) if listening._running else None

    async def run(job, **_):
        await go.wait()

    queue = Due(job())
    listening = listener(queue, run, slots=1)
    await listening.poll()
    assert asked == []
    go.set()
    await asyncio.wait_for(queue.settled_one.wait(), 120)
    await listening.poll()
    assert asked == [0]


@pytest.mark.parametrize(("workers", "gets_up"), [(1, True), (32, True), (10**12, False)])
async def test_few_of_a_large_fleet_get_up_for_a_job_that_is_due(workers, gets_up):
    """All of them know when it is: a small fleet gets up as a whole, of a large one some do, and the others sleep on."""

    class Due(MemoryQueue):
        async def next_due(self):
            return timedelta(seconds=1)

    listening = listener(Due(), None, fleet=lambda: workers)
    assert (await listening.poll() < timedelta(seconds=2)) is gets_up


async def test_a_wake_up_during_the_claim_is_not_lost():
    """The wake-up is cleared before the claim: one that comes while the claim answers "nothing" leads to another claim."""
    queue = MemoryQueue()
    ran = asyncio.Event()

    async def run(job, **_):
        ran.set()

    listening = listener(queue, run)

    def a_job_comes_just_after_the_look():
        queue.on_claim = lambda: None
        queue.jobs.append(job())
        listening.wake()

    queue.on_claim = a_job_comes_just_after_the_look
    task = asyncio.create_task(listening.listen())
    await asyncio.wait_for(ran.wait(), 120)  # the poll would take an hour
    listening.drain()
    await asyncio.wait_for(task, 120)


async def test_no_more_jobs_run_than_there_are_slots():
    """The slots bound what is in flight; an ended job frees its slot at once."""
    running, most, go = 0, 0, asyncio.Event()

    async def run(job, **_):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1

    queue = MemoryQueue(*(job() for _ in range(5)))
    listening = listener(queue, run, slots=2)
    task = asyncio.create_task(listening.listen())
    while running < 2:
        await asyncio.sleep(0)
    go.set()
    while len(queue.settled) < 5:
        await asyncio.sleep(0)
    listening.drain()
    await asyncio.wait_for(task, 120)
    assert most == 2


async def test_drain_lets_running_jobs_finish():
    """Within the grace period a running job ends normally and nothing new is claimed."""
    started, go = asyncio.Event(), asyncio.Event()

    async def run(job, **_):
        started.set()
        await go.wait()

    queue = MemoryQueue(job(), job())
    listening = listener(queue, run, slots=1)
    task = asyncio.create_task(listening.listen())
    await asyncio.wait_for(started.wait(), 120)
    listening.drain()
    go.set()
    await asyncio.wait_for(task, 120)
    assert queue.settled == ["finish"]
    assert len(queue.jobs) == 1


@pytest.mark.parametrize("second_signal", [False, True])
async def test_what_is_late_is_handed_back(second_signal):
    """After the grace period, or at a second signal, running jobs are released."""
    started = asyncio.Event()

    async def run(job, **_):
        started.set()
        await asyncio.Event().wait()

    queue = MemoryQueue(job())
    grace = timedelta(hours=1) if second_signal else timedelta(0)
    listening = listener(queue, run, grace=grace)
    task = asyncio.create_task(listening.listen())
    await asyncio.wait_for(started.wait(), 120)
    listening.drain()
    if second_signal:
        await asyncio.sleep(0)
        listening.drain()
    await asyncio.wait_for(task, 120)
    assert queue.settled == ["release"]


@pytest.mark.parametrize(
    "trouble", [QueueUnavailable("restarting"), ZeroDivisionError(), ValueError("a row of next year")]
)
async def test_no_trouble_of_a_claim_ends_the_loop(trouble):
    """A database that is away, and an error that nobody foresaw, are survived: the next look claims again."""
    ran = asyncio.Event()
    queue = MemoryQueue(job())
    claim, failures = queue.claim, iter([True])

    async def flaky():
        if next(failures, False):
            raise trouble
        return await claim()

    queue.claim = flaky

    async def run(job, **_):
        ran.set()

    listening = listener(queue, run, poll_every=timedelta(milliseconds=1))
    task = asyncio.create_task(listening.listen())
    await asyncio.wait_for(ran.wait(), 120)
    listening.drain()
    await asyncio.wait_for(task, 120)


async def test_claims_that_fail_again_and_again_are_backed_off():
    """Each failure doubles the sleep, wake-ups do not shorten it, and a claim that works ends it."""
    queue = MemoryQueue()
    claim = queue.claim

    async def broken():
        raise ZeroDivisionError

    listening = listener(queue, None, poll_every=timedelta(seconds=1))
    queue.claim = broken
    sleeps = [(await listening.poll()).total_seconds() for _ in range(9)]
    for n, sleep in enumerate(sleeps):
        assert min(60, 0.8 * 2**n) <= sleep <= min(60, 1.2 * 2**n)
    claims = []

    async def counted():
        claims.append(1)
        listening.wake()
        raise ZeroDivisionError

    queue.claim = counted
    task = asyncio.create_task(listening.listen())
    while not claims:
        await asyncio.sleep(0)
    for _ in range(50):
        listening.wake()
        await asyncio.sleep(0)
    assert len(claims) == 1
    listening.drain()
    await asyncio.wait_for(task, 120)
    queue.claim = claim
    assert (await listening.poll()).total_seconds() <= 1.2


async def test_a_way_to_the_database_that_is_closed_ends_the_process():
    """It does not come back: the process ends to be started again, and what runs is not waited for."""
    queue = MemoryQueue()

    async def closed():
        raise QueueClosed("the pool is closed")

    queue.claim = closed
    listening = listener(queue, None)
    await asyncio.wait_for(listening.listen(), 120)
    assert isinstance(listening.broken, QueueClosed)
