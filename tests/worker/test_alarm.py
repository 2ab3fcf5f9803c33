"""What a wake-up makes a worker do: at once in a small fleet, each at its own moment in a large one, and most of that not at all."""

import asyncio
import random
from datetime import timedelta

import pytest

from worker.alarm import Alarm
from worker.wake import Wake, among_few, rest


class Worker:
    """An alarm, and what it caused."""

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
async def worker():
    worker = Worker()
    yield worker
    worker.alarm.stop()


async def test_who_lacks_the_engine_sleeps_on(worker):
    """A job for an engine that is not here wakes nobody; one for ours does, and so does one for any."""
    worker.alarm.ring(Wake(what="generate", engine="acestep"))
    assert (worker.looks.empty(), worker.alarm._timer) == (True, None)
    for engine in ("sketch", ""):
        worker.alarm.ring(Wake(what="generate", engine=engine))
        await worker.has_looked(1)


def test_some_of_many_look_and_soon():
    """Of a thousand workers that could take it about as many look as are called, and the first of them after some milliseconds."""
    random.seed(1)
    firsts = []
    for _ in range(200):
        wake = Wake(what="generate", workers=1000, lookers=34)
        after_s = [found for _ in range(1000) if (found := wake.look_after()) is not None]
        assert 8 <= len(after_s) <= 70
        assert max(after_s) <= 0.034
        firsts.append(min(after_s))
    assert sum(firsts) / len(firsts) < 0.002


def test_all_who_are_called_spread_their_looks():
    """A call to everybody: nobody sleeps on, and a thousand looks take a second."""
    after_s = [Wake(workers=5000, lookers=5000).look_after() for _ in range(5000)]
    assert None not in after_s
    assert 0.9 < max(after_s) <= 1.0
    assert sorted(after_s)[2500] > 0.4


def test_a_large_fleet_polls_more_rarely():
    """Any idle worker of a thousand finds what no wake-up told of; a small fleet polls as one worker does."""
    every = timedelta(seconds=5)
    assert all(every * 0.8 <= rest(every, workers) <= every * 1.2 for workers in (1, 20, 160))
    assert timedelta(seconds=24) <= rest(every, 1000) <= timedelta(seconds=36)
    assert rest(every, 10**6) <= timedelta(seconds=72)
    assert rest(timedelta(hours=1), 1000) >= timedelta(minutes=48)


def test_a_moment_that_all_know_is_for_a_few():
    """When a backed-off job is due, some of a thousand look; a small fleet does as a whole."""
    assert all(among_few(workers) for workers in (1, 32) for _ in range(100))
    assert 8 <= sum(among_few(1000) for _ in range(1000)) <= 70


async def test_many_wake_ups_are_few_looks(worker):
    """A worker that is woken again and again before its moment looks once."""
    for _ in range(1000):
        worker.alarm.ring(Wake(what="generate", workers=40, lookers=40))
    await worker.has_looked(1)


async def test_a_worker_looks_for_its_own_kinds(worker):
    """A merge does not make a composer look; anything that cannot be told does."""
    worker.alarm.ring(Wake(what="merge"))
    worker.alarm.ring(Wake(what="webhook"))
    await worker.has_looked(0)
    worker.alarm.ring(Wake())
    await worker.has_looked(1)


async def test_a_webhook_wakes_a_few(worker):
    """Of a thousand workers some eight send webhooks; a lone one always does."""
    for _ in range(1000):
        worker.alarm.ring(Wake(what="webhook", workers=1000, lookers=8))
    assert 0 < len(worker.deliveries) < 40
    worker.deliveries.clear()
    worker.alarm.ring(Wake(what="webhook"))
    assert len(worker.deliveries) == 1
