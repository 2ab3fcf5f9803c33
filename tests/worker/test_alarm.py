"""What a wake-up makes a worker do: at once in a small fleet, each at its own moment in a large one, and once more a second later."""

import asyncio
from datetime import timedelta

import pytest

from worker import alarm as alarms
from worker.alarm import Alarm
from worker.wake import Wake, rest


class Worker:
    """An alarm whose second is short, and what it caused."""

    def __init__(self) -> None:
        self.looks: asyncio.Queue[None] = asyncio.Queue()
        self.deliveries: list[None] = []
        self.alarm = Alarm(
            kinds=("generate",),
            engines=("sketch",),
            look=lambda: self.looks.put_nowait(None),
            deliver=lambda: self.deliveries.append(None),
        )

    async def has_looked(self, times: int) -> None:
        """So often, and no more is to come."""
        async with asyncio.timeout(60):
            for _ in range(times):
                await self.looks.get()
        assert (self.looks.empty(), self.alarm._timer) == (True, None)


@pytest.fixture
async def worker(monkeypatch):
    monkeypatch.setattr(alarms, "SECOND_LOOK_S", 0.02)
    worker = Worker()
    yield worker
    worker.alarm.stop()


async def test_who_lacks_the_engine_sleeps_on(worker):
    """A job for an engine that is not here wakes nobody; one for ours does, and so does one for any."""
    worker.alarm.ring(Wake(what="generate", engine="acestep"))
    assert (worker.looks.empty(), worker.alarm._timer) == (True, None)
    for engine in ("sketch", ""):
        worker.alarm.ring(Wake(what="generate", engine=engine))
        await worker.has_looked(2)


async def test_each_wake_up_is_looked_for_twice(worker):
    """At once, and once more for what was swallowed on the way; then all is quiet."""
    worker.alarm.ring(Wake(what="generate"))
    await worker.has_looked(2)


def test_a_large_fleet_polls_more_rarely():
    """Any idle worker of a thousand finds what no wake-up told of; a small fleet polls as one worker does."""
    every = timedelta(seconds=5)
    assert all(every * 0.8 <= rest(every, workers) <= every * 1.2 for workers in (1, 20, 160))
    assert timedelta(seconds=24) <= rest(every, 1000) <= timedelta(seconds=36)
    assert rest(every, 10**6) <= timedelta(seconds=72)
    assert rest(timedelta(hours=1), 1000) >= timedelta(minutes=48)


async def test_many_wake_ups_are_few_looks(worker):
    """A worker of a large fleet that is woken again and again before its moment looks once, and once more."""
    for _ in range(1000):
        worker.alarm.ring(Wake(what="generate", workers=40))
    await worker.has_looked(2)


async def test_a_worker_looks_for_its_own_kinds(worker):
    """A merge does not make a composer look; anything that cannot be told does."""
    worker.alarm.ring(Wake(what="merge"))
    worker.alarm.ring(Wake(what="webhook"))
    await worker.has_looked(0)
    worker.alarm.ring(Wake())
    await worker.has_looked(2)


async def test_a_webhook_wakes_a_few(worker):
    """Of a thousand workers some eight look for a webhook; a lone one always does."""
    for _ in range(1000):
        worker.alarm.ring(Wake(what="webhook", workers=1000))
    assert 0 < len(worker.deliveries) < 40
    worker.deliveries.clear()
    worker.alarm.ring(Wake(what="webhook"))
    assert len(worker.deliveries) == 1
