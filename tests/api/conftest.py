"""The API in this process, on loopback, against a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import asyncpg
import pytest
from aiohttp import web

from edge_api.app import make_runner
from edge_api.database import Database
from edge_api.metrics import Metrics
from edge_api.settings import Settings
from tests.api.jwks import Jwks
from tests.contract.conftest import gen
from tests.contract.keys import SECRET, SERVICE_KEY

__all__ = ["gen"]

StartApi = Callable[..., Awaitable[aiohttp.ClientSession]]


async def listening(stack: AsyncExitStack, runner: web.AppRunner) -> str:
    """Start a runner on a free port of loopback until the stack ends; returns its address."""
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def db(database_url) -> AsyncIterator[asyncpg.Connection]:
    """The database as its superuser; flood limits are out of the way."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("update private.settings set pending_per_client = 100000, pending_per_owner = 100000")
    yield connection
    await connection.close()


@pytest.fixture
async def jwks(stack) -> Jwks:
    jwks = Jwks()
    app = web.Application()
    app.router.add_get("/auth/v1/.well-known/jwks.json", jwks.answer)
    jwks.url = await listening(stack, web.AppRunner(app))
    return jwks


@pytest.fixture
def start_api(stack, database_url) -> StartApi:
    """Start an API with these settings; returns a client session whose base is its address; `.runner` stops it."""

    async def start(**settings) -> aiohttp.ClientSession:
        values = {
            "supabase_url": "http://127.0.0.1:9",
            "supabase_key": SERVICE_KEY,
            "database_url": database_url,
            "jwt_secret": SECRET,
            **settings,
        }
        options = {name: values.pop(name) for name in ("static", "files") if name in values}
        database = await Database.open(values["database_url"])
        start.runner = runner = make_runner(Settings(_env_file=None, **values), database, Metrics(), **options)
        return await stack.enter_async_context(aiohttp.ClientSession(await listening(stack, runner)))

    return start


@pytest.fixture
async def api(start_api) -> aiohttp.ClientSession:
    return await start_api()
