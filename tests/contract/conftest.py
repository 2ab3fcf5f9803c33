"""Both hosts over one real database: every test that asks for `host` or `api` runs once for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest

from supabase_standin.gateway import Gateway, GatewaySettings
from supabase_standin.realtime.limits import Limits
from tests.conftest import fixture
from tests.contract.hand import Hand
from tests.contract.hosts import HOSTS, Host
from tests.contract.keys import API_KEY, SECRET, SERVICE_KEY, USED, spoken
from tests.contract.neighbours import Neighbours, neighbours

VIDEO = "https://example.com/holiday.mp4"
PUBLISHABLE_KEY = "sb_publishable_0123456789abcdef"
NO_JOB = "b0de608f-7fa1-4bc6-a0f9-3b0fd0b83373"
"""An id that nobody was given; the same in every run, for it stands in the names of tests."""


@pytest.fixture(scope="session")
def storage_url() -> Iterator[str]:
    """Where the project answers."""
    with neighbours() as server:
        yield server.url


@pytest.fixture
def project() -> Iterator[Neighbours]:
    """A project of the test's own, to publish keys in or to take away."""
    with neighbours() as server:
        yield server


@pytest.fixture(scope="module")
def settings(database_url, storage_url) -> dict[str, str]:
    """The environment of a host."""
    password = urlsplit(database_url).password
    assert password
    USED.add(password)
    return {
        "SUPABASE_URL": storage_url,
        "SUPABASE_KEY": SERVICE_KEY,
        "SUPABASE_DB_URL": database_url,
        "JWT_SECRET": SECRET,
        "API_KEY": API_KEY,
    }


@pytest.fixture(params=HOSTS, scope="module")
def name(request) -> str:
    """Which of the two hosts."""
    return request.param


def silent(host: Host) -> None:
    """Nothing that a host said holds a key."""
    host.stop()
    assert spoken(host.output) == set(), host.output


@pytest.fixture(scope="module")
def host(name, settings, tmp_path_factory) -> Iterator[Host]:
    """The host that most tests share; its whole output is searched for keys when they are through."""
    host = Host(name, tmp_path_factory.mktemp(name), **settings)
    yield host
    silent(host)


@pytest.fixture
def start(name, settings, tmp_path) -> Iterator[Callable[..., Host]]:
    """Starts a host of one's own, with other settings."""
    hosts: list[Host] = []

    def start(**others: str) -> Host:
        hosts.append(Host(name, tmp_path, **settings | others))
        return hosts[-1]

    yield start
    for host in hosts:
        silent(host)


@fixture
async def api(host) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the shared host."""
    async with host.session() as session:
        yield session


@fixture(scope="module")
async def kept(database_url) -> AsyncIterator[asyncpg.Connection]:
    """The database as its superuser."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@fixture
async def db(kept) -> asyncpg.Connection:
    """That connection; flood limits are out of the way."""
    await kept.reset()
    await kept.execute("update private.settings set pending_per_client = 100000, pending_per_owner = 100000")
    return kept


@pytest.fixture
def hand(db) -> Hand:
    """Plays the worker."""
    return Hand(db)


async def ask(session: aiohttp.ClientSession, method: str, path: Any, **options: Any) -> tuple[int, Any]:
    """Sends a request and returns status and JSON."""
    async with session.request(method, path, **options) as answer:
        return answer.status, await answer.json(content_type=None)


@pytest.fixture
def gen(api) -> Callable[..., Awaitable[str]]:
    """Posts a job and returns its id."""

    async def gen(headers=None, **fields) -> str:
        status, answer = await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO, **fields}, headers=headers)
        assert status == 200, answer
        return answer["job_id"]

    return gen


@fixture
async def stack(name, settings, tmp_path):
    """The local gateway in front of one host, which signs uploads for that gateway's Storage."""
    gateway = Gateway(
        GatewaySettings(
            port=0, database_url=settings["SUPABASE_DB_URL"], jwt_secret=SECRET, secret_key=SERVICE_KEY,
            publishable_key=PUBLISHABLE_KEY, storage_dir=tmp_path / "storage", api_upstream="http://127.0.0.1:9",
        ),
        Limits(),
    )  # fmt: skip
    async with gateway:
        url = f"http://127.0.0.1:{gateway.port}"
        with Host(name, tmp_path, **settings | {"SUPABASE_URL": url, "MERGE_WAIT_S": "0"}) as host:
            yield url, host.url
        silent(host)
