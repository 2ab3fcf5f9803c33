"""Uploads through the local stack's own Storage."""

from __future__ import annotations

import aiohttp

from supabase_standin.gateway import Gateway, GatewaySettings
from supabase_standin.realtime.limits import Limits
from tests.contract.conftest import ask

KEY = "sb_secret_0123456789abcdef"


async def test_what_was_put_at_the_signed_address_is_at_the_public_one(start_api, database_url, tmp_path):
    """A client that does what the answer says finds its video under `video_url`, with its media type; once only."""
    settings = GatewaySettings(
        port=0,
        database_url=database_url,
        jwt_secret="super-secret-jwt-token-with-at-least-32-characters-long",
        secret_key=KEY,
        publishable_key="sb_publishable_0123456789abcdef",
        storage_dir=tmp_path,
        api_upstream="http://127.0.0.1:9",
    )
    async with Gateway(settings, Limits()) as gateway, aiohttp.ClientSession() as browser:
        api = await start_api(supabase_url=f"http://127.0.0.1:{gateway.port}", supabase_key=KEY)
        body = {"filename": "holiday.mp4", "content_type": "video/mp4", "size": 5}
        status, signed = await ask(api, "post", "/api/v1/upload", json=body)
        assert status == 200, signed
        for expected in (True, False):
            put = browser.request(signed["method"], signed["upload_url"], headers=signed["headers"], data=b"video")
            async with put as answer:
                assert answer.ok is expected, await answer.text()
        async with browser.get(signed["video_url"]) as answer:
            assert (answer.status, answer.content_type, await answer.read()) == (200, "video/mp4", b"video")
