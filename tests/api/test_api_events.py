"""Streams of events: how many there may be, and what becomes of them when the server stops."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID, uuid4

import pytest

from edge_api import watch
from edge_api.database import Database
from edge_api.problems import Problem
from edge_api.watch import Watches
from tests.contract.conftest import ask
from tests.contract.test_contract_events import frames

AUDIO = "https://example.com/track.flac"


async def test_the_number_of_streams_is_bounded(database_url, gen, db):
    """Beyond the limit a watch is refused with 503, and possible again when another has ended."""
    job = UUID(await gen())
    database = await Database.open(database_url)
    watches = Watches(database, limit=1, per_client=1)
    first = watches.views(job, None, "a client")
    await anext(first)
    with pytest.raises(Problem) as refused:
        await anext(watches.views(job, None, "a client"))
    assert refused.value.code == "too_many_streams"
    await first.aclose()
    assert (await anext(watches.views(job, None, "a client")))["status"] == "pending"
    await database.close()


async def test_a_stopping_server_ends_streams_and_answers_merges(start_api, db):
    """At shutdown streams end and waiting merges get their 202, so nobody hangs and nothing is lost."""
    api = await start_api()
    body = {"video_url": "https://example.com/v.mp4", "audio_url": AUDIO}
    _, answer = await ask(api, "post", "/api/v1/merge", json=body, headers={"Prefer": "respond-async"})
    merging = asyncio.create_task(ask(api, "post", "/api/v1/merge", json=body))
    async with asyncio.timeout(120), api.get(f"/api/v1/job/{answer['job_id']}/events") as events:
        stream = frames(events)
        await anext(stream)
        while await db.fetchval("select count(*) from public.jobs where kind = 'merge' and status = 'pending'") < 2:
            await asyncio.sleep(0)
        closing = asyncio.create_task(start_api.runner.cleanup())
        assert await anext(stream, None) is None
        status, late = await merging
        assert (status, "job_id" in late) == (202, True)
    await closing


class Slow:
    """A database whose readings end when they are told to."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[tuple[str, asyncio.Future]] = asyncio.Queue()

    async def _reading(self, name: str):
        answer = asyncio.get_running_loop().create_future()
        self.asked.put_nowait((name, answer))
        return await answer

    async def view(self, *_):
        return await self._reading("view")

    async def moved(self, seen):
        return await self._reading("moved")

    async def next(self, name: str) -> asyncio.Future:
        asked, answer = await self.asked.get()
        assert asked == name
        return answer


def at(count: int) -> dict:
    return {"status": "processing", "completed_count": count}


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(watch, "PAUSE_S", 0)


async def test_all_watchers_of_a_job_share_one_reading(at_once):
    """A change is read once, for everybody who watches."""
    database, job = Slow(), uuid4()
    watches = Watches(database, limit=9, per_client=9)
    views = [watches.views(job, None, "a client") for _ in range(3)]
    for one in views:
        first = asyncio.ensure_future(anext(one))
        (await database.next("view")).set_result(json.dumps(at(0)))
        assert await first == at(0)
        if one is views[0]:
            look = await database.next("moved")
    later = [asyncio.ensure_future(anext(one)) for one in views]
    look.set_result([])
    (await database.next("moved")).set_result([(job, "1", at(1))])
    assert await asyncio.gather(*later) == [at(1)] * 3
    for one in views:
        await one.aclose()


async def test_nothing_older_is_told_after_something_newer(at_once):
    """A look that began before a watcher's own reading does not count for it: it reads again itself."""
    database, job = Slow(), uuid4()
    watches = Watches(database, limit=9, per_client=9)
    early, late = (watches.views(job, None, "a client") for _ in range(2))
    first = asyncio.ensure_future(anext(early))
    (await database.next("view")).set_result(json.dumps(at(0)))
    await first
    look = await database.next("moved")
    second = asyncio.ensure_future(anext(late))
    (await database.next("view")).set_result(json.dumps(at(2)))
    assert await second == at(2)
    third = asyncio.ensure_future(anext(late))
    look.set_result([(job, "1", at(1))])
    readings = [await database.asked.get() for _ in range(2)]
    dict(readings)["view"].set_result(json.dumps(at(3)))
    assert await third == at(3)
    await early.aclose()
    await late.aclose()
