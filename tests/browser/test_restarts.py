"""Gateway, API and worker go away while a page watches, and come back."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rhythmai.local.postgres import free_port
from tests.browser.conftest import World, api, gateway, worker

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]


async def test_restarts_in_the_middle_lose_nothing(world: World, tmp_path):
    """The page says that the connection is lost, and has every track when all is back; Realtime is joined again."""
    port, api_port = free_port(), free_port()
    there = replace(world, url=f"http://127.0.0.1:{port}")
    hosts = (tmp_path, there.url, api_port, world.database_url)
    job = await world.job("https://example.com/holiday.mp4", variants=3)
    hand = await world.hand(job)
    await hand.plan("Dawn", "Noon", "Dusk")
    async with gateway(tmp_path, port, api_port, world.database_url):
        with await asyncio.to_thread(api, *hosts):
            page = await there.open(f"#job={job}")
            lost = page.get_by_role("region").get_by_text("The connection is lost")
            await page.get_by_role("heading", name="Dusk").wait_for()
        await lost.wait_for()  # the API alone
        with await asyncio.to_thread(api, *hosts):
            await lost.wait_for(state="hidden")
            await hand.result(index=0, audio_url="https://example.com/0.flac", title="Dawn")
            await page.get_by_role("button", name="Play Dawn").wait_for()
    await hand.result(index=1, audio_url="https://example.com/1.flac", title="Noon")
    await lost.wait_for()
    async with gateway(tmp_path, port, api_port, world.database_url):
        with await asyncio.to_thread(api, *hosts):
            await page.get_by_role("button", name="Play Noon").wait_for()
            await hand.result(index=2, audio_url="https://example.com/2.flac", title="Dusk")
            await hand.finish()
            await page.get_by_text("All tracks are ready").wait_for()
            await page.close()


async def test_a_worker_that_is_restarted_ends_its_job(world: World, files, tmp_path):
    """It stops behind the first track: the page keeps what is there, waits, and has all when the next worker has ended the job."""
    job = await world.job(await world.put(files / "film.mp4", "uploads", "video/mp4"), variants=8)
    page = await world.open(f"#job={job}")
    uses = page.get_by_role("button", name="Use this one")
    async with worker(world, tmp_path):
        await uses.first.wait_for(timeout=60_000)
    assert await world.db.fetchval("select status from public.jobs") == "pending"
    await page.get_by_text("Next in the queue").wait_for()
    assert 1 <= await uses.count() < 8
    async with worker(world, tmp_path):
        await page.get_by_text("All tracks are ready").wait_for(timeout=60_000)
    assert await uses.count() == 8
