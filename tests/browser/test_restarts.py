"""Gateway and API go away while a page watches, and come back."""

from __future__ import annotations

import asyncio

import pytest

from rhythmai.local.postgres import free_port
from supabase_standin.gateway import Gateway, GatewaySettings
from supabase_standin.realtime.limits import Limits
from tests.browser.conftest import PUBLISHABLE_KEY, World, api
from tests.contract.keys import SECRET, SERVICE_KEY

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_restarts_in_the_middle_lose_nothing(world: World, tmp_path):
    """The page says that the connection is lost, and has every track when all is back; Realtime is joined again."""
    port, api_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    settings = GatewaySettings(
        port=port, database_url=world.database_url, jwt_secret=SECRET, secret_key=SERVICE_KEY,
        publishable_key=PUBLISHABLE_KEY, storage_dir=tmp_path / "storage", api_upstream=f"http://127.0.0.1:{api_port}",
    )  # fmt: skip
    job = await world.job("https://example.com/holiday.mp4", variants=3)
    hand = await world.hand(job)
    await hand.plan("Dawn", "Noon", "Dusk")
    context = await world.browser.new_context()
    world.contexts.append(context)
    page = await context.new_page()
    async with Gateway(settings, Limits()):
        with await asyncio.to_thread(api, tmp_path, url, api_port, world.database_url):
            await page.goto(f"{url}/#job={job}")
            await page.get_by_role("heading", name="Dusk").wait_for()
        await page.get_by_text("The connection is lost").wait_for()  # the API alone
        with await asyncio.to_thread(api, tmp_path, url, api_port, world.database_url):
            await page.get_by_text("The connection is lost").wait_for(state="hidden")
            await hand.result(index=0, audio_url="https://example.com/0.flac", title="Dawn")
            await page.get_by_role("button", name="Play Dawn").wait_for()
    await hand.result(index=1, audio_url="https://example.com/1.flac", title="Noon")
    await page.get_by_text("The connection is lost").wait_for()
    async with Gateway(settings, Limits()):
        with await asyncio.to_thread(api, tmp_path, url, api_port, world.database_url):
            await page.get_by_role("button", name="Play Noon").wait_for()
            await hand.result(index=2, audio_url="https://example.com/2.flac", title="Dusk")
            await hand.finish()
            await page.get_by_text("All tracks are ready").wait_for()
            await context.close()
