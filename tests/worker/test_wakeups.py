"""LISTEN as a wake-up: alone enough, back after a cut, refused on a transaction pooler."""

import asyncio
from datetime import timedelta

import pytest

from worker.wakeups import ListenWakeUps


@pytest.fixture
async def wakes(database_url, db):
    """An event that is set at each wake-up."""
    woken = asyncio.Event()
    task = asyncio.create_task(ListenWakeUps(database_url).run(lambda _: woken.set()))
    async with asyncio.timeout(120):
        await woken.wait()  # the first look after connecting
        woken.clear()
        yield woken
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_insert_wakes_once_however_many_rows(wakes, db):
    """One statement with a thousand rows sends a wake-up."""
    await db.execute(
        "insert into public.jobs (video_url) select 'https://example.com/' || i from generate_series(1, 1000) i"
    )
    await wakes.wait()


async def test_listening_resumes_after_a_cut(wakes, db):
    """A cut connection is opened again, and looks for work that came meanwhile."""
    await db.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'rhythmai worker'"
    )
    await wakes.wait()
    wakes.clear()
    await db.execute("insert into public.jobs (video_url) values ('https://example.com/a.mp4')")
    await wakes.wait()


async def test_a_connection_that_only_looks_alive_is_given_up(line):
    """Guards the `select 1`: a half-open connection says nothing for ever, so it is asked, and a new one looks for work."""
    woken = asyncio.Event()
    listening = ListenWakeUps(line.url, check_every=timedelta(milliseconds=50), patience=timedelta(milliseconds=200))
    task = asyncio.create_task(listening.run(lambda _: woken.set()))
    async with asyncio.timeout(120):
        await woken.wait()
        woken.clear()
        line.freeze()
        await woken.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_transaction_pooler_is_refused():
    """LISTEN over a transaction pooler hears nothing, so it is not tried: the source ends at once."""
    await asyncio.wait_for(ListenWakeUps("postgresql://u:p@127.0.0.1:6543/x").run(lambda _: None), 5)
