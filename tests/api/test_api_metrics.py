"""/metrics of the API: requests, and the queue by one call to the database."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web

from edge_api.database import Database
from edge_api.metrics import Metrics
from tests.api.conftest import listening
from tests.contract.conftest import VIDEO


@pytest.fixture
async def scrape(stack):
    """Serves /metrics over a database; returns a function that scrapes it."""

    async def serve(url):
        database = await Database.open(url)
        stack.push_async_callback(database.close)
        address = await listening(stack, web.AppRunner(Metrics().app(database.gauges)))

        async def scrape() -> dict[str, float]:
            async with aiohttp.ClientSession() as session, session.get(f"{address}/metrics") as answer:
                assert answer.status == 200
                lines = (await answer.text()).splitlines()
            return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

        return scrape

    return serve


async def test_the_queue_is_told_to_prometheus(scrape, database_url, gen, db):
    """Depth by kind, lane, state and engine, the age of each head, workers and webhooks; an empty lane is 0."""
    await db.execute("truncate public.jobs, public.workers cascade")
    await gen(callback_url="https://example.com/hook")
    await db.execute("update public.jobs set created_at = now() - interval '5 minutes'")
    worker = await db.fetchval("select queue.register('a', array['generate'], '{}', '1', interval '1 hour')")
    await db.execute("select queue.ready($1, 'sketch 1')", worker)
    told = await (await scrape(database_url))()
    assert told["rhythmai_database_up"] == 1
    assert told['rhythmai_queue_jobs{engine="",kind="generate",lane="interactive",state="ready"}'] == 1
    assert told['rhythmai_queue_jobs{engine="",kind="merge",lane="batch",state="ready"}'] == 0
    assert 300 <= told['rhythmai_queue_head_age_seconds{engine="",kind="generate",lane="interactive"}'] < 400
    assert told['rhythmai_queue_head_age_seconds{engine="",kind="merge",lane="batch"}'] == 0
    assert told['rhythmai_workers{engine="sketch 1",state="ready"}'] == 1
    assert told["rhythmai_webhooks_pending"] == 0
    await db.fetchval("select queue.claim($1, interval '1 hour')", worker)
    await db.execute("select queue.cancel(id), queue.release(id, attempt, worker_id) from public.jobs")
    told = await (await scrape(database_url))()
    assert told["rhythmai_webhooks_pending"] == 1
    assert VIDEO not in str(told)


async def test_a_database_that_is_away_leaves_the_rest(scrape):
    """The scrape answers without the queue, and says why: rhythmai_database_up is 0."""
    told = await (await scrape("postgresql://u:p@127.0.0.1:9/d"))()
    assert told == {"rhythmai_database_up": 0}
