"""Streams of events: how many there may be, and what becomes of them when the server stops."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

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
    watches = Watches(database, limit=1)
    first = watches.views(job, None)
    await anext(first)
    with pytest.raises(Problem) as refused:
        await anext(watches.views(job, None))
    assert refused.value.code == "too_many_streams"
    await first.aclose()
    assert (await anext(watches.views(job, None)))["status"] == "pending"
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
