"""The heartbeat: a thread of its own, against a real database."""

import asyncio
import queue as queues
import threading
from datetime import timedelta

import pytest

from worker.assembly import BEAT_EVERY, idle_beat
from worker.heartbeat import Heartbeat


@pytest.fixture
def heart(database_url, queue):
    """A beating heart whose beats and drain can be waited for."""
    beats, orders = threading.Semaphore(0), queues.SimpleQueue()
    heart = Heartbeat(
        database_url,
        queue.worker_id,
        every=timedelta(milliseconds=20),
        idle_every=timedelta(milliseconds=20),
        on_order=orders.put,
        on_beat=beats.release,
    )
    heart.beats, heart.orders = beats, orders
    heart.start()
    yield heart
    heart.stop()


async def heard_at(db):
    """When a beat was last heard: the row itself is written more rarely."""
    return await db.fetchval("select last_value from private.beat_ms")


async def test_a_blocked_event_loop_does_not_stop_the_heart(heart, db):
    """The beat has its own thread and loop: code that blocks the worker's loop never looks like death."""
    before = await heard_at(db)
    heart.beats.acquire(timeout=120)  # blocks this event loop on purpose
    heart.beats.acquire(timeout=120)
    assert await heard_at(db) > before


def test_a_cancel_waits_for_a_beat_of_less_than_two_seconds():
    """Guards BEAT_EVERY: a beat is what stops a running job (see below), and a cancel has to be heard within two seconds."""
    assert timedelta(seconds=2) > BEAT_EVERY


async def test_an_idle_heart_beats_rarely_until_it_holds_something(database_url, queue, insert, db):
    """A thousand idle workers are no load; whoever takes a job is heard, and told to stop, as soon as ever."""
    beats = threading.Semaphore(0)
    heart = Heartbeat(
        database_url, queue.worker_id, every=timedelta(milliseconds=20), idle_every=timedelta(hours=1),
        on_order=lambda order: None, on_beat=beats.release,
    )  # fmt: skip
    heart.start()
    try:
        assert await asyncio.to_thread(beats.acquire, timeout=120)
        await asyncio.sleep(0.2)
        assert not beats.acquire(blocking=False)
        job_id = await insert()
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        heart.hold((await queue.claim()).lease, lambda said: loop.call_soon_threadsafe(told.set))
        await db.fetchval("select queue.cancel($1)", job_id)
        async with asyncio.timeout(120):
            await told.wait()
    finally:
        heart.stop()


@pytest.mark.parametrize("lease_s", [8, 30, 3600])
def test_an_idle_heart_keeps_its_lease(lease_s):
    """Its row is written by the first beat after a quarter of the lease, 7.5 s at most: in time even if one beat is missed."""
    assert min(7.5, lease_s / 4) + 2 * idle_beat(lease_s).total_seconds() < lease_s


@pytest.mark.parametrize("verdict", ["cancelled", "lost"])
async def test_holders_learn_what_to_stop(heart, queue, insert, db, verdict):
    """A cancelled job and a lost lease are told to their holder once."""
    job_id = await insert()
    job = await queue.claim()
    told = []
    heard = threading.Event()

    def on_stop(said):
        told.append(said)
        heard.set()

    heart.hold(job.lease, on_stop)
    if verdict == "cancelled":
        await db.fetchval("select queue.cancel($1)", job_id)
    else:
        await queue.release(job.lease)
    assert await asyncio.to_thread(heard.wait, 10)
    for _ in range(2):
        await asyncio.to_thread(heart.beats.acquire)
    assert told == [verdict]


async def test_a_drain_in_the_database_reaches_the_worker(heart, db):
    """Setting `draining` on the row is enough to drain a box."""
    await db.execute("update public.workers set draining = true")
    assert await asyncio.to_thread(heart.orders.get, timeout=120) == "drain"


async def test_a_worker_that_the_database_forgot_is_told_to_register_anew(heart, db):
    """Without its row a worker gets no work and no error: the beat says so."""
    await db.execute("delete from public.workers")
    assert await asyncio.to_thread(heart.orders.get, timeout=120) == "gone"


async def test_the_heart_outlives_what_nobody_foresaw(heart, monkeypatch):
    """An error of any kind costs a beat, not the thread: a worker whose heart stopped would never get work again."""
    broken = threading.Event()
    real = Heartbeat._beat

    async def once(self, connection):
        if not broken.is_set():
            broken.set()
            raise ZeroDivisionError
        await real(self, connection)

    monkeypatch.setattr(Heartbeat, "_beat", once)
    assert await asyncio.to_thread(broken.wait, 120)
    while heart.beats.acquire(blocking=False):
        pass
    assert await asyncio.to_thread(heart.beats.acquire, timeout=120)


async def test_a_cut_connection_is_opened_again(heart, db):
    """After its connection is cut the heart beats on."""
    await asyncio.to_thread(heart.beats.acquire)
    await db.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'rhythmai worker'"
    )
    for _ in range(3):
        assert await asyncio.to_thread(heart.beats.acquire, timeout=120)
