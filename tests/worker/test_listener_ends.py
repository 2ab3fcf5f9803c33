"""How a listener settles what ends: by itself, by a verdict of the heart, or not at all."""

import asyncio
from datetime import timedelta

import pytest

from tests.worker.memory_queue import MemoryQueue, job, listener, settled_by
from worker.errors import (
    DeviceLost,
    DeviceStuck,
    LeaseLost,
    QueueUnavailable,
    Rejected,
    ServiceAway,
    Unavailable,
    Yielded,
)


@pytest.mark.parametrize(
    ("outcome", "settled"),
    [
        (None, ["finish"]),
        (Rejected("no", code="not_a_video"), [("fail", "not_a_video", False, True)]),
        (Unavailable("later"), [("fail", "unavailable", True, True)]),
        (ServiceAway("no Storage"), [("fail", "service_away", True, False)]),
        (QueueUnavailable("away"), [("fail", "queue_unavailable", True, False)]),
        (Yielded("room"), ["release"]),
        (DeviceLost("gone"), [("crash", "device_lost")]),
        (DeviceStuck("gone before"), ["release"]),
        (ZeroDivisionError("bug"), [("fail", "internal", True, True)]),
    ],
)
async def test_each_outcome_is_settled_by_its_remedy(outcome, settled):
    """Every way a job can end is settled with one write, chosen by what can be done about it."""

    async def run(job, **_):
        if outcome:
            raise outcome

    found, listening = await settled_by(run)
    assert found == settled
    assert listening.broken == (outcome if isinstance(outcome, DeviceLost) else None)


async def test_an_end_that_cannot_be_written_as_it_is_ends_as_a_bug():
    """A failure whose words the database refuses is settled in words of our own: the job is not held until its deadline."""

    class Refusing(MemoryQueue):
        async def fail(self, lease, *, code, **rest):
            if code == "not_a_video":
                raise ValueError("a lone surrogate")
            await super().fail(lease, code=code, **rest)

    async def run(job, **_):
        raise Rejected("\ud83c", code="not_a_video")

    settled, _ = await settled_by(run, queue_of=Refusing)
    assert settled == [("fail", "internal", True, True)]


async def test_a_lost_lease_writes_nothing():
    """After LeaseLost the listener writes nothing more for that job."""
    ended = asyncio.Event()

    async def run(job, **_):
        ended.set()
        raise LeaseLost("not ours")

    queue = MemoryQueue(job())
    listening = listener(queue, run)
    task = asyncio.create_task(listening.listen())
    await asyncio.wait_for(ended.wait(), 120)
    listening.drain()
    await asyncio.wait_for(task, 120)
    assert queue.settled == []


@pytest.mark.parametrize(("verdict", "settled"), [("cancelled", ["finish"]), ("lost", [])])
async def test_a_verdict_of_the_heartbeat_stops_the_running_job(verdict, settled):
    """`cancelled` stops the job and ends it; `lost` stops it and writes nothing; both reach code that polls `stopped`."""
    started, stopped_seen = asyncio.Event(), []

    async def run(job, *, stopped, **_):
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped_seen.append(stopped())

    queue = MemoryQueue(job())
    listening = listener(queue, run)
    task = asyncio.create_task(listening.listen())
    await asyncio.wait_for(started.wait(), 120)
    (on_stop,) = listening.watch.values()
    await asyncio.to_thread(on_stop, verdict)
    while listening.watch:
        await asyncio.sleep(0)
    listening.drain()
    await asyncio.wait_for(task, 120)
    assert queue.settled == settled
    assert stopped_seen == [True]


@pytest.mark.parametrize("stopped_by", ["cancelled", "lost", "drain"])
async def test_a_job_that_does_not_stop_ends_the_process(stopped_by):
    """Work that hangs in the device is settled by what stopped it, the other jobs are handed back at once, and the loop ends as broken."""
    let_go, started = asyncio.Event(), []

    async def run(job, **_):
        started.append(job.lease.job_id)
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                if len(started) == 2 and job.lease.job_id == started[1]:
                    raise  # the other one is healthy

    queue = MemoryQueue(job(), job())
    listening = listener(queue, run, grace=timedelta(0), patience=timedelta(milliseconds=50))
    task = asyncio.create_task(listening.listen())
    while len(started) < 2:
        await asyncio.sleep(0)
    if stopped_by == "drain":
        listening.drain()
    else:
        listening.watch[started[0]](stopped_by)
    await asyncio.wait_for(task, 120)
    assert isinstance(listening.broken, DeviceLost)
    assert sorted(queue.settled) == sorted(
        {"cancelled": ["finish"], "lost": [], "drain": ["release"]}[stopped_by] + ["release"]
    )
    let_go.set()
    await asyncio.sleep(0)


async def test_whoever_finds_the_device_stuck_first_the_job_that_hangs_has_crashed():
    """A job that waited is handed back, and the one under which the device hangs is not, though it is told to stop at that moment;
    an end that is being written is not cut off."""
    started = []

    async def run(job, **_):
        started.append(job)
        if len(started) == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise DeviceLost("the engine does not answer") from None
        raise DeviceStuck("the engine hangs in the work of another job")

    class Slow(MemoryQueue):
        async def release(self, lease):
            await asyncio.sleep(0.05)
            await super().release(lease)

    queue = Slow(job(), job())
    listening = listener(queue, run)
    await asyncio.wait_for(listening.listen(), 120)
    assert sorted(queue.settled, key=str) == [("crash", "device_lost"), "release"]
    assert isinstance(listening.broken, DeviceStuck)


async def test_a_lease_is_watched_until_its_end_is_written():
    """The heart hands back what it does not know of: a job may not be dropped before its end stands in the database."""
    watched = []

    class Asking(MemoryQueue):
        async def finish(self, lease):
            watched.append(lease.job_id in listening.watch)
            await super().finish(lease)

    async def run(job, **_):
        pass

    queue = Asking(job())
    listening = listener(queue, run)
    task = asyncio.create_task(listening.listen())
    await asyncio.wait_for(queue.settled_one.wait(), 120)
    listening.drain()
    await asyncio.wait_for(task, 120)
    assert watched == [True]
    assert not listening.watch
