"""A running gateway over the module's database, keys and tokens for it, and the real clients."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import asyncpg
import jwt
import pytest
from anyio.from_thread import start_blocking_portal
from realtime import AsyncRealtimeClient
from yarl import URL

from rhythmai.local.postgres import Postgres
from supabase_standin.gateway import Gateway, GatewaySettings
from supabase_standin.realtime.limits import Limits
from supabase_standin.storage.files import Files
from tests.conftest import copied
from tests.standin.delivering import asked, cache, deliver, film, session, tickets
from tests.standin.wire import Wire

__all__ = ["asked", "cache", "deliver", "film", "session", "tickets"]

JWT_SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"
SECRET_KEY = "sb_secret_0123456789abcdef"
PUBLISHABLE_KEY = "sb_publishable_0123456789abcdef"
SOCKETLESS = ("test_delivery", "test_resumable", "test_storage_", "test_tus_js")


@pytest.fixture(scope="module")
def database_url(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh database of the module's own; a module whose `COPY_OF` says "template" has our migrations in it."""
    with copied(postgres, request.getfixturevalue(getattr(request.module, "COPY_OF", "plain"))) as url:
        yield url


def mint(
    role: str = "authenticated", *, sub: str | None = None, lifetime_s: float = 3600, secret: str = JWT_SECRET, **claims
) -> str:
    """A token as the project's auth would give it."""
    who = {"sub": sub or str(uuid.uuid4())} if role == "authenticated" else {}
    return jwt.encode(
        {"role": role, "exp": time.time() + lifetime_s, "aud": role, **who, **claims}, secret, algorithm="HS256"
    )


@pytest.fixture
def limits() -> Limits:
    """Overridden by tests that want tighter ones."""
    return Limits()


@pytest.fixture(scope="module")
def settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> GatewaySettings:
    return GatewaySettings(
        port=0,
        database_url=database_url,
        jwt_secret=JWT_SECRET,
        secret_key=SECRET_KEY,
        publishable_key=PUBLISHABLE_KEY,
        storage_dir=tmp_path_factory.mktemp("gateway") / "storage",
        api_upstream="http://127.0.0.1:9",
    )


@pytest.fixture(scope="module")
def shared_gateway(settings: GatewaySettings) -> Iterator[Gateway]:
    """On a thread of its own, for all tests of a module."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(portal.call(Gateway, settings)) as running,
    ):
        yield running


@pytest.fixture
async def gateway(
    settings: GatewaySettings, limits: Limits, request: pytest.FixtureRequest
) -> AsyncIterator[SimpleNamespace]:
    """`.url`, `.anon`, `.secret`: what a client needs. Modules without sockets start one, and each of their tests finds an empty folder."""
    shared = request.path.name.startswith(SOCKETLESS)
    made = nullcontext(request.getfixturevalue("shared_gateway")) if shared else Gateway(settings, limits)
    async with made as running:
        yield SimpleNamespace(
            url=f"http://127.0.0.1:{running.port}",
            anon=PUBLISHABLE_KEY,
            secret=SECRET_KEY,
            storage_dir=settings.storage_dir,
        )
    shutil.rmtree(settings.storage_dir, ignore_errors=True)
    Files(settings.storage_dir).open()


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """For a server of one's own; pytest's folders are closed to the system user that Postgres runs as."""
    folder = Path(tempfile.mkdtemp(prefix="rhythmai-postgres-"))
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


class Gate:
    """What a policy with `pg_advisory_xact_lock_shared(key)` waits for while it is shut."""

    key = 4711

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def shut(self) -> None:
        await self._connection.execute("select pg_advisory_lock($1)", self.key)

    async def open(self) -> None:
        await self._connection.execute("select pg_advisory_unlock($1)", self.key)


@pytest.fixture
async def gate(database_url: str) -> AsyncIterator[Gate]:
    connection = await asyncpg.connect(database_url)
    yield Gate(connection)
    await connection.close()


@pytest.fixture
async def connect(gateway: SimpleNamespace) -> AsyncIterator:
    """Makes connected Realtime clients of the Python library, and closes them."""
    clients: list[AsyncRealtimeClient] = []

    async def make(key: str | None = None) -> AsyncRealtimeClient:
        client = AsyncRealtimeClient(f"{gateway.url}/realtime/v1", key or gateway.anon)
        await client.connect()
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def storage(gateway, http, database):
    """Calls the Storage API with the secret key; there is one bucket, `b`, public and empty."""
    await database.execute(
        "insert into storage.buckets (id, name, public) values ('b', 'b', true) on conflict do nothing"
    )

    async def call(method, path, **arguments):
        headers = {"Authorization": f"Bearer {gateway.secret}", **arguments.pop("headers", {})}
        url = URL(f"{gateway.url}/storage/v1/{path}", encoded=True)  # as it is, dot segments and all
        async with http.request(method, url, headers=headers, **arguments) as answer:
            body = await answer.read()
            return SimpleNamespace(
                status=answer.status, headers=answer.headers, body=body, json=functools.partial(json.loads, body)
            )

    yield call
    await call("POST", "bucket/b/empty")


@pytest.fixture
async def dial(gateway, http):
    """Opens sockets."""

    async def make(vsn="2.0.0", key=None):
        url = f"{gateway.url}/realtime/v1/websocket"
        return Wire(await http.ws_connect(url, params={"apikey": key or gateway.anon, "vsn": vsn}), vsn)

    return make
