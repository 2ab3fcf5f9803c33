"""The API on loopback, against a real database and a tiny Storage."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import jwt
import pytest
from aiohttp import web

from edge_api.app import make_runner
from edge_api.database import Database
from edge_api.metrics import Metrics
from edge_api.settings import Settings
from tests.api.jwks import Jwks

SECRET = "a-secret-of-at-least-thirty-two-characters-and-even-sixty-four-of-them"
SERVICE_KEY = "sb_secret_of_the_tests"
VIDEO = "https://example.com/holiday.mp4"

StartApi = Callable[..., Awaitable[aiohttp.ClientSession]]


def make_token(user=None, *, secret=SECRET, algorithm="HS256", headers=None, **claims) -> str:
    """An access token as Supabase Auth makes them."""
    whole = {"sub": str(user or uuid4()), "aud": "authenticated", "role": "authenticated", "exp": time.time() + 600}
    whole = {name: value for name, value in {**whole, **claims}.items() if value is not None}
    return jwt.encode(whole, secret, algorithm=algorithm, headers=headers)


@pytest.fixture
def token() -> Callable[..., str]:
    return make_token


@pytest.fixture
def bearer() -> Callable[..., dict[str, str]]:
    """Makes the header of a signed-in user."""
    return lambda user=None, **claims: {"Authorization": f"Bearer {make_token(user, **claims)}"}


@dataclass
class Storage:
    """As much of Supabase Storage as signing an upload needs; remembers what it was asked."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    broken: bool = False

    async def sign(self, request: web.Request) -> web.Response:
        self.asked.append({"path": request.path, "headers": dict(request.headers)})
        if self.broken:
            return web.Response(status=502, text="<html>Bad gateway</html>")
        upload = jwt.encode({"url": request.match_info["path"], "exp": 1_900_000_000}, SECRET)
        return web.json_response({"url": f"/object/upload/sign/{request.match_info['path']}?token={upload}"})


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
async def storage(stack) -> Storage:
    storage = Storage()
    app = web.Application()
    app.router.add_post("/storage/v1/object/upload/sign/{path:.+}", storage.sign)
    storage.url = await listening(stack, web.AppRunner(app))
    return storage


@pytest.fixture
async def jwks(stack) -> Jwks:
    jwks = Jwks()
    app = web.Application()
    app.router.add_get("/auth/v1/.well-known/jwks.json", jwks.answer)
    jwks.url = await listening(stack, web.AppRunner(app))
    return jwks


@pytest.fixture
def start_api(stack, storage, database_url) -> StartApi:
    """Start an API with these settings; returns a client session whose base is its address; `.runner` stops it."""

    async def start(**settings) -> aiohttp.ClientSession:
        values = {
            "supabase_url": storage.url,
            "supabase_key": SERVICE_KEY,
            "database_url": database_url,
            "jwt_secret": SECRET,
            **settings,
        }
        static = {"static": values.pop("static")} if "static" in values else {}
        database = await Database.open(values["database_url"])
        start.runner = runner = make_runner(Settings(_env_file=None, **values), database, Metrics(), **static)
        return await stack.enter_async_context(aiohttp.ClientSession(await listening(stack, runner)))

    return start


@pytest.fixture
async def api(start_api) -> aiohttp.ClientSession:
    return await start_api()


@pytest.fixture
async def db(database_url) -> AsyncIterator[asyncpg.Connection]:
    """The database as its superuser; flood limits are out of the way."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("update private.settings set pending_per_client = 10000, pending_per_owner = 10000")
    yield connection
    await connection.close()


class Hand:
    """Plays the worker, by the same SQL functions, one step at a time."""

    def __init__(self, db: asyncpg.Connection) -> None:
        self._db = db
        self._lease: tuple[UUID, int, int] | None = None

    async def claim(self, job: str) -> None:
        """Take this job, and every other that stands before it."""
        worker = await self._db.fetchval(
            "select queue.register('hand', array['generate', 'merge'], 'sketch', '1', interval '1 hour')"
        )
        claimed = {"id": None}
        while claimed["id"] != job:
            claimed = json.loads(await self._db.fetchval("select queue.claim($1, interval '1 hour')", worker))
        self._lease = (UUID(job), claimed["attempt"], worker)

    async def stage(self, name: str) -> None:
        await self._db.fetchval("select queue.set_stage($1, $2, $3, $4)", *self._lease, name)

    async def plan(self, *prompts: str) -> None:
        variants = [
            {"index": index, "seed": index, "direction": {"title": prompt, "prompt": prompt}}
            for index, prompt in enumerate(prompts)
        ]
        plan = json.dumps({"variants": variants, "describer": "local"})
        await self._db.fetchval("select queue.save_plan($1, $2, $3, $4::jsonb)", *self._lease, plan)

    async def result(self, **row) -> None:
        verdict = await self._db.fetchval(
            "select queue.put_result($1, $2, $3, $4::jsonb)", *self._lease, json.dumps(row)
        )
        assert verdict == "ok"

    async def finish(self) -> None:
        await self._db.fetchval("select queue.finish($1, $2, $3)", *self._lease)

    async def fail(self, code: str, message: str) -> None:
        await self._db.fetchval("select queue.fail($1, $2, $3, $4, $5, false)", *self._lease, code, message)


@pytest.fixture
def hand(db) -> Hand:
    return Hand(db)


@pytest.fixture
def gen(api) -> Callable[..., Awaitable[str]]:
    """Posts a job and returns its id."""

    async def gen(headers=None, **fields) -> str:
        async with api.post("/api/v1/gen", json={"video_url": VIDEO, **fields}, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return (await answer.json())["job_id"]

    return gen


@pytest.fixture
def ask() -> Callable[..., Awaitable[tuple[int, Any]]]:
    """Sends a request and returns status and JSON."""

    async def ask(session, method, path, **options) -> tuple[int, Any]:
        async with session.request(method, path, **options) as answer:
            return answer.status, await answer.json(content_type=None)

    return ask
