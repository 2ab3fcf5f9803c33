"""A device that hangs: it is seen wherever it happens, ends the process, and is held against the job under which it happened only."""

import asyncio
import threading
from datetime import timedelta

import pytest

from tests.worker.memory_queue import MemoryQueue, job, listener
from worker.errors import DeviceLost, DeviceStuck
from worker.pipeline.engine_thread import EngineThread, Visit

SHORT = timedelta(milliseconds=200)


@pytest.fixture
def hang(seams):
    """`hang("see")`: whatever the engine does there never ends, not even when it is asked to; `.begun` says that it is there,
    and `.let_go()` ends it."""
    let_go = threading.Event()

    def hang(where):
        hang.begun = threading.Event()

        def hangs(*_):
            hang.begun.set()
            assert let_go.wait(120)

        def hangs_in_steps(*_):
            yield hangs()

        setattr(seams, "compose" if where == "next" else where, hangs_in_steps if where == "next" else hangs)

    hang.let_go = let_go.set
    yield hang
    let_go.set()


@pytest.fixture
def working(pipeline):
    """A listener with these jobs on the pipeline, until it ends by itself."""
    pipeline.rack.thread = EngineThread(patience=SHORT)

    async def working(queue):
        listening = listener(queue, pipeline.run, patience=SHORT)
        await asyncio.wait_for(listening.listen(), 120)
        return listening

    return working


@pytest.mark.parametrize("where", ["prepare", "see", "end", "compose", "next"])
async def test_a_hang_ends_the_process_wherever_it_is(working, seams, hang, where):
    """One job of three has crashed; who waited behind it is handed back as if it had not been claimed, and the third stays where it is."""
    hang(where)
    queue = MemoryQueue(*(job(lane="interactive") for _ in range(3)))
    listening = await working(queue)
    assert isinstance(listening.broken, DeviceLost)
    assert sorted(queue.settled, key=str) == [("crash", "device_lost"), "release"]
    assert len(queue.jobs) == 1


async def test_only_one_job_is_known_to_have_crashed(working, pipeline, queue, insert, db, hang):
    """In the database, too: the others are pending with no crash and no attempt lost, for another worker or the next start of this one."""
    hang("see")
    pipeline.queue = queue
    for _ in range(3):
        await insert(lane="interactive")
    await working(queue)
    rows = await db.fetch("select status, crashes, max_attempts - attempt as left from public.jobs order by crashes")
    assert [tuple(row) for row in rows] == [("pending", 0, 3), ("pending", 0, 3), ("pending", 1, 2)]


async def test_a_hang_between_jobs_is_no_jobs_fault(working, pipeline, seams, hang):
    """Who finds the engine hanging in its quiet moment is handed back, and the process ends."""
    hang("rest")
    pipeline._rest()
    assert await asyncio.to_thread(hang.begun.wait, 20)
    queue = MemoryQueue(job(lane="interactive"))
    listening = await working(queue)
    assert isinstance(listening.broken, DeviceStuck)
    assert queue.settled == ["release"]


async def test_a_job_that_is_told_to_stop_waits_for_the_step_in_flight(run, seams, hang):
    """Guards `Visit.do` after a cancel: the thread is nobody else's before it is free, so a hang is not left to the next job."""
    hang("see")
    task = asyncio.create_task(run())
    assert await asyncio.to_thread(hang.begun.wait, 20)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=0.1)
    assert not done
    hang.let_go()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_slow_engine_that_asks_whether_to_stop_lives():
    """An engine may take longer than the patience, as long as it gives signs."""
    thread = EngineThread(patience=SHORT)
    visit = Visit(thread, lambda: False)
    tick = threading.Event()

    def slowly():
        for _ in range(40):
            visit.over()
            tick.wait(SHORT.total_seconds() / 20)
        return "made"

    assert await visit.do(slowly) == "made"
