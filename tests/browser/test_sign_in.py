"""The page as a signed-in user: Supabase Auth is a stub of the test, the token is one the API believes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Page

from rhythmai.local.postgres import free_port
from tests.browser.conftest import PUBLISHABLE_KEY, World, api, configured, gateway, until
from tests.contract.hosts import ROOT
from tests.contract.keys import make_token

pytestmark = pytest.mark.asyncio(loop_scope="session")
LIBRARY = ROOT / "studio" / "node_modules" / "@supabase" / "supabase-js" / "dist" / "umd" / "supabase.js"
JOIN = """
async ([url, key, token, job]) => {
  const { createClient } = await import("/test/supabase.js");
  const client = createClient(url, key, { accessToken: async () => token });
  await client.realtime.setAuth();
  window.heard = [];
  const channel = client.channel(`job:${job}`, { config: { private: true } });
  channel.on("broadcast", { event: "plan" }, ({ payload }) => heard.push(payload.directions[0].title));
  return await new Promise((resolve) => channel.subscribe((status) => status !== "CLOSED" && resolve(status)));
}
"""
"""An app with an Auth of its own, on the origin of the page."""


def session(user: UUID) -> dict[str, object]:
    """What Auth answers of a user."""
    return {
        "access_token": make_token(user), "token_type": "bearer", "expires_in": 3600, "expires_at": int(time.time()) + 3600,
        "refresh_token": "r", "user": {"id": str(user), "aud": "authenticated", "role": "authenticated", "is_anonymous": True,
        "app_metadata": {}, "user_metadata": {}, "created_at": "2026-01-01T00:00:00Z"},
    }  # fmt: skip


@pytest_asyncio.fixture(loop_scope="session")
async def there(world: World, tmp_path) -> AsyncIterator[World]:
    """The project once more, for users alone."""
    port, api_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    users = {"STUDIO_SIGN_IN": "anonymous", "REQUIRE_AUTH": "true"}
    async with gateway(tmp_path, port, api_port, world.database_url):
        with await asyncio.to_thread(api, tmp_path, url, api_port, world.database_url, **users):
            yield replace(world, url=url)


async def test_a_user_owns_her_jobs(there: World, files):
    """Signed in by the page itself, or by an app on its origin: her job is live and listed, and nobody else's; an app that has
    her token in createClient's `accessToken` hears of it, too."""
    user = uuid4()
    page = await there.open(answers={"/auth/v1/signup": session(user)}, storage_state={})
    await page.set_input_files("input[type=file]", files / "film.mp4")
    await page.get_by_role("button", name="Make music").click()
    await page.get_by_text("Next in the queue").wait_for()
    job, owner = await there.db.fetchrow("select id::text, owner from public.jobs")
    assert owner == user
    hers, other = [await signed_in(there, one, job) for one in (user, uuid4())]
    await other.get_by_text("There is nothing at this link").wait_for()
    assert await other.evaluate(JOIN, [there.url, PUBLISHABLE_KEY, make_token(), job]) == "CHANNEL_ERROR"
    assert await other.evaluate(JOIN, [there.url, PUBLISHABLE_KEY, make_token(user), job]) == "SUBSCRIBED"
    hand = await there.hand()
    await hand.plan("Hers", "Also hers", "And this")
    await until(other, "heard[0] === 'Hers'")
    for one in (page, hers):
        await one.get_by_role("heading", name="Also hers").wait_for()
    await hand.finish()
    for one in (page, hers):
        await one.get_by_role("button", name="Another film").first.click()
        await one.reload()
        await one.get_by_role("region", name="Your films").get_by_role("link", name="Open film.mp4").wait_for()


async def signed_in(there: World, user: UUID, job: str) -> Page:
    """The page at that job, on an origin where an app has signed its user in; supabase-js is there for the app."""
    kept = {"name": "sb-127-auth-token", "value": json.dumps(session(user))}
    origins = [{"origin": there.url, "localStorage": [kept]}]
    config = await configured(there, sign_in="session")
    page = await there.open(f"#job={job}", answers={"/config.json": config}, storage_state={"origins": origins})
    library = f"{LIBRARY.read_text()}\nexport const {{ createClient }} = supabase;"
    await page.route("**/test/supabase.js", lambda route: route.fulfill(body=library, content_type="text/javascript"))
    return page
