"""The page as a signed-in user: Supabase Auth is a stub of the test, the token is one the API believes."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

import pytest

from rhythmai.local.postgres import free_port
from supabase_standin.gateway import Gateway, GatewaySettings
from supabase_standin.realtime.limits import Limits
from tests.browser.conftest import PUBLISHABLE_KEY, World, api
from tests.contract.keys import SECRET, SERVICE_KEY, make_token

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_anonymous_user_owns_her_jobs(world: World, files, tmp_path):
    """With STUDIO_SIGN_IN=anonymous the page signs in by itself; the job is hers, live over Realtime, and listed, and nobody else's."""
    user = uuid4()
    session = {
        "access_token": make_token(user), "token_type": "bearer", "expires_in": 3600, "expires_at": int(time.time()) + 3600,
        "refresh_token": "r", "user": {"id": str(user), "aud": "authenticated", "role": "authenticated", "is_anonymous": True,
        "app_metadata": {}, "user_metadata": {}, "created_at": "2026-01-01T00:00:00Z"},
    }  # fmt: skip
    port, api_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    settings = GatewaySettings(
        port=port, database_url=world.database_url, jwt_secret=SECRET, secret_key=SERVICE_KEY,
        publishable_key=PUBLISHABLE_KEY, storage_dir=tmp_path / "storage", api_upstream=f"http://127.0.0.1:{api_port}",
    )  # fmt: skip
    async with Gateway(settings, Limits()):
        host = await asyncio.to_thread(
            api, tmp_path, url, api_port, world.database_url, STUDIO_SIGN_IN="anonymous", REQUIRE_AUTH="true"
        )
        with host:
            context = await world.browser.new_context()
            world.contexts.append(context)
            page = await context.new_page()
            await page.route("**/auth/v1/signup*", lambda route: route.fulfill(json=session))
            await page.goto(url)
            await page.set_input_files("input[type=file]", files / "film.mp4")
            await page.get_by_role("button", name="Make music").click()
            await page.get_by_text("Next in the queue").wait_for()
            assert await world.db.fetchval("select owner from public.jobs") == user
            hand = await world.hand()
            await hand.plan("Hers", "Also hers", "And this")
            await page.get_by_role("heading", name="Also hers").wait_for()
            await hand.finish()
            await page.get_by_role("button", name="Another film").click()
            await page.reload()
            await page.get_by_role("region", name="Your films").get_by_role("link", name="Open film.mp4").wait_for()
            stranger = await world.browser.new_context()
            world.contexts.append(stranger)
            other = await stranger.new_page()
            await other.route(
                "**/auth/v1/signup*", lambda route: route.fulfill(json={**session, "access_token": make_token()})
            )
            await page.get_by_role("link", name="Open film.mp4").click()
            await page.wait_for_url("**/#job=*")
            await other.goto(page.url)
            await other.get_by_text("There is nothing at this link").wait_for()
