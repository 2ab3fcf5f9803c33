"""A listener with a queue in memory."""

import asyncio
from datetime import timedelta
from uuid import uuid4

from worker.domain import Job, Kind, Lease
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


def job(attempt=1, **changes):
    values = {
        "kind": Kind.GENERATE, "video_url": "https://example.com/a.mp4", "traceparent": f"00-{uuid4().hex}-00f067aa0ba902b7-01",
    } | changes  # fmt: skip
    return Job(lease=Lease(job_id=uuid4(), attempt=attempt, worker_id=1), **values)


def listener(queue, run, **options):
    options = {"poll_every": timedelta(hours=1), "slots": 2} | options
    return Listener(queue=queue, run_job=run, watch=Watch(), **options)


async def settled_by(run, *, queue_of=MemoryQueue):
    """How a listener settles one job that is run by `run`; `queue_of` makes its queue."""
    queue = queue_of(job())
    listening = listener(queue, run)
    task = asyncio.create_task(listening.listen())
    await asyncio.wait_for(queue.settled_one.wait(), 120)
    listening.drain()
    await asyncio.wait_for(task, 120)
    return queue.settled, listening
