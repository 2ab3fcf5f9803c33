"""The real supabase-js, on Deno, against the gateway: see supabase_js_test.ts."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from aiohttp import web
from deno import find_deno_bin

from tests.standin.conftest import mint

SUITE = Path(__file__).with_name("supabase_js_test.ts")


@pytest.fixture
async def sql_url(database):
    """An endpoint for the suite's SQL."""

    async def run(request):
        await database.execute(await request.text())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", run)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


@pytest.mark.slow
@pytest.mark.parametrize("keys", ["opaque", "legacy"])
async def test_supabase_js_does_not_notice(gateway, database, sql_url, keys):
    """Broadcast, private channels, HTTP, bytes, presence, changes and Storage work in both protocol versions, with either kind of key."""
    await database.execute("""
        create table if not exists public.notes (id serial primary key, n int, body text);
        drop publication supabase_realtime;
        create publication supabase_realtime for table public.notes;
        drop policy if exists "rooms are for users" on realtime.messages;
        create policy "rooms are for users" on realtime.messages for all to authenticated
        using (realtime.topic() like 'room-%') with check (realtime.topic() like 'room-%');
    """)
    environment = {
        **os.environ,
        "SUPABASE_URL": gateway.url,
        "SQL_URL": sql_url,
        "ANON_KEY": gateway.anon if keys == "opaque" else mint("anon"),
        "SERVICE_KEY": gateway.secret if keys == "opaque" else mint("service_role"),
        "USER_TOKEN": mint(),
    }
    process = await asyncio.create_subprocess_exec(
        find_deno_bin(), "test", "--allow-all", "--no-check", "--no-lock", SUITE,
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
