"""The loop of a worker, with a queue in memory: what is claimed, how outcomes are settled, how it drains."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from worker.domain import Job, Kind, Lease
from worker.errors import (
    DeviceLost,
    LeaseLost,
    QueueUnavailable,
    Rejected,
    ServiceAway,
    Unavailable,
    Yielded,
)
from worker.listener import Listener


class MemoryQueue:
    """Jobs in a list; remembers how each lease was settled."""

    def __init__(self, *jobs):
        self.jobs, self.settled, self.claims = list(jobs), [], 0
        self.on_claim = lambda: None
        self.settled_one = asyncio.Event()

    async def claim(self):
        self.claims += 1
        job = self.jobs.pop(0) if self.jobs else None
        self.on_claim()
        return job

    async def next_due(self):
        return None

    async def finish(self, lease):
        self.settle("finish", lease)

    async def release(self, lease):
        self.settle("release", lease)

    async def crash(self, lease, *, code, message):
        self.settle(("crash", code), lease)

    async def fail(self, lease, *, code, message, again, burn):
        self.settle(("fail", code, again, burn), lease)

    def settle(self, how, lease):
        self.settled.append(how)
        self.settled_one.set()


class Watch(dict):
    """The heartbeat's side: leases and how to stop them."""

    def hold(self, lease, on_stop):
        self[lease.job_id] = on_stop

    def drop(self, lease):
        self.pop(lease.job_id, None)


def job(**changes):
    values = {"kind": Kind.GENERATE, "video_url": "https://example.com/a.mp4"} | changes
    return Job(lease=Lease(job_id=uuid4(), attempt=1, worker_id=1), **values)


def listener(queue, run, **options):
    options = {"poll_every": timedelta(hours=1), "slots": 2} | options
    return Listener(queue=queue, run_job=run, watch=Watch(), **options)


async def settled_by(run, *, before_drain=lambda listening: None):
    """How a listener settles one job that is run by `run`."""
    queue = MemoryQueue(job())
    listening = listener(queue, run)
    task = asyncio.create_task(listening.listen())
    await asyncio.wait_for(queue.settled_one.wait(), 10)
    listening.drain()
    await asyncio.wait_for(task, 10)
    return queue.settled, listening


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

    queue = Refusing(job())
    listening = listener(queue, run)
    task = asyncio.create_task(listening.listen())
    await asyncio.wait_for(queue.settled_one.wait(), 10)
    listening.drain()
    await asyncio.wait_for(task, 10)
    assert queue.settled == [("fail", "internal", True, True)]


async def test_a_lost_lease_writes_nothing():
    """After LeaseLost the listener writes nothing more for that job."""
    ended = asyncio.Event()

    async def run(job, **_):
        ended.set()
        raise LeaseLost("not ours")

    queue = MemoryQueue(job())
    listening = listener(queue, run)
    task = asyncio.create_task(listening.listen())
    await asyncio.wait_for(ended.wait(), 10)
    listening.drain()
    await asyncio.wait_for(task, 10)
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
    await asyncio.wait_for(started.wait(), 10)
    (on_stop,) = listening.watch.values()
    await asyncio.to_thread(on_stop, verdict)
    while listening.watch:
        await asyncio.sleep(0)
    listening.drain()
    await asyncio.wait_for(task, 10)
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
    await asyncio.wait_for(task, 10)
    assert isinstance(listening.broken, DeviceLost)
    assert sorted(queue.settled) == sorted(
        {"cancelled": ["finish"], "lost": [], "drain": ["release"]}[stopped_by] + ["release"]
    )
    let_go.set()
    await asyncio.sleep(0)


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
    await asyncio.wait_for(queue.settled_one.wait(), 10)
    listening.drain()
    await asyncio.wait_for(task, 10)
    assert watched == [True]
    assert not listening.watch


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
    await asyncio.wait_for(queue.settled_one.wait(), 10)
    await listening.poll()
    assert asked == [0]


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
    await asyncio.wait_for(ran.wait(), 10)  # the poll would take an hour
    listening.drain()
    await asyncio.wait_for(task, 10)


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
    await asyncio.wait_for(task, 10)
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
    await asyncio.wait_for(started.wait(), 10)
    listening.drain()
    go.set()
    await asyncio.wait_for(task, 10)
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
    await asyncio.wait_for(started.wait(), 10)
    listening.drain()
    if second_signal:
        await asyncio.sleep(0)
        listening.drain()
    await asyncio.wait_for(task, 10)
    assert queue.settled == ["release"]


async def test_a_database_that_is_away_does_not_end_the_loop():
    """QueueUnavailable at the claim is survived: the next look claims again."""
    ran = asyncio.Event()
    queue = MemoryQueue(job())
    claim, failures = queue.claim, iter([True])

    async def flaky():
        if next(failures, False):
            raise QueueUnavailable("restarting")
        return await claim()

    queue.claim = flaky

    async def run(job, **_):
        ran.set()

    listening = listener(queue, run, poll_every=timedelta(milliseconds=1))
    task = asyncio.create_task(listening.listen())
    await asyncio.wait_for(ran.wait(), 10)
    listening.drain()
    await asyncio.wait_for(task, 10)
