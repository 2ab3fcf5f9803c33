"""A real Postgres for every test that asks: one server a session, one fresh database a module."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from rhythmai.local.postgres import Postgres, embedded_bin
from supabase_standin import BASELINE
from tests.warm.start import share

# Three workers share the processor: small networks gain nothing from threads, and lose much where cores are shared.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

# Asking the tests' Postgres for TLS, which it has not, makes a context for each connection; who wants TLS says so in the address.
os.environ["PGSSLMODE"] = "disable"

ROOT = Path(__file__).parent.parent
MIGRATIONS = ROOT / "supabase" / "migrations"
FUZZ = int(os.environ.get("FUZZ", "1"))
"""How many times longer tests with random input last; 25 in `make test-all`."""
SHARE_A_LOOP = ("tests/contract/", "tests/database/")
"""Where the tests of a module have one loop, and so may have one connection."""
fixture = partial(pytest_asyncio.fixture, loop_scope="module")
"""For what awaits something there."""
TEMPLATE = "migrated"
LONG_UP = """
create or replace function private.database_since() returns timestamptz
language sql stable set search_path = '' as $$ select timestamptz '-infinity' $$;
"""
"""The server of the tests is younger than a lease: without this no worker could be dead yet."""


def pytest_addoption(parser):
    parser.addoption("--oldest", action="store_true", help="Run tests/database on the oldest Postgres, too.")


def pytest_configure(config: pytest.Config) -> None:
    if getattr(config.option, "numprocesses", None):  # it will start workers
        share()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests are for `make test-all`. Among workers, modules with slow tests go first, so that none of them is left to one at the end."""
    if FUZZ == 1:
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
    for item in items:
        if item.nodeid.startswith(SHARE_A_LOOP) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)
    if "PYTEST_XDIST_WORKER" in os.environ:
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


class ByModule(LoadScopeScheduling):
    """A module stays with one worker, for it shares a database and hosts; what breaks services, or imports for seconds, stays with one, too."""

    BREAKING = (
        "tests/chaos/",
        "tests/soak/",
        "tests/cli/test_up",
        "tests/cli/test_supervisor",
        "tests/api/test_api_database",
    )
    DIFFUSERS = (
        "tests/docs/test_benches",
        "tests/engine/test_acestep_",
        "tests/engine/test_licences",
        "tests/engine/test_mmaudio_levers",
        "tests/engine/test_mmaudio_parity",
        "tests/engine/test_mmaudio_second_oracle",
        "tests/engine/test_mmaudio_weights",
        "tests/engine/test_start",
        "tests/unit/test_prompts",
        "tests/worker/test_whole_engines",
    )  # what imports that, or open_clip, or a hub's client
    STACK = tuple(f"tests/cli/test_{name}" for name in ("client_page", "job", "mcp"))
    GENRES = tuple(f"tests/unit/test_{name}" for name in ("merge_speech", "sketch.py", "speech"))
    LIVE = tuple(f"tests/browser/test_{name}" for name in ("in_step", "live", "mix", "restarts"))

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(self.BREAKING):
            return "breaking"
        if nodeid.startswith("tests/browser/"):  # two browsers, two projects: half of the time each
            return "browser, live" if nodeid.startswith(self.LIVE) else "browser"
        if nodeid.startswith(self.STACK):
            return "stack"
        if nodeid.startswith(self.GENRES):
            return "genres"
        if nodeid.startswith(self.DIFFUSERS):
            return "diffusers"
        return "oldest" if "[oldest" in nodeid else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByModule:
    # The group marks of xdist 3.8 do nothing under pytest 9.2, which keeps a test's id elsewhere.
    return ByModule(config, log)


def programs(version: str | None = None) -> tuple[Path, str | None]:
    """Where that Postgres lives (None is the newest), and the system user it runs as when we are root."""
    version = version or "18"
    system = Path(f"/usr/lib/postgresql/{version}/bin")
    return (system, "postgres") if system.exists() else (embedded_bin(int(version)), None)


@pytest.fixture(scope="session", autouse=True)
def home() -> Iterator[None]:
    """A worker's own place for stacks: what one starts, the others do not find; the system user of Postgres may pass."""
    with tempfile.TemporaryDirectory(prefix="rhythmai-home-") as folder, pytest.MonkeyPatch.context() as patch:
        Path(folder).chmod(0o755)
        patch.setenv("XDG_DATA_HOME", folder)
        yield


@pytest.fixture(scope="session")
def postgres(request) -> Iterator[Postgres]:
    """A running server: `.url(database)`, `.start()`, `.stop()`."""
    folder, user = programs(getattr(request, "param", None))
    place = Path(tempfile.mkdtemp(prefix="rhythmai-postgres-"))
    server = Postgres(place / "data", password=secrets.token_hex(8), bin=folder, user=user, careless=True)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(place)


async def execute(url: str, *scripts: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for script in scripts:
            await connection.execute(script)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """The name of a database with the baseline and all migrations, to be copied."""
    asyncio.run(execute(postgres.url(), f"create database {TEMPLATE}"))
    files = [BASELINE, *sorted(MIGRATIONS.glob("*.sql"))]
    asyncio.run(execute(postgres.url(TEMPLATE), *(file.read_text() for file in files), LONG_UP))
    return TEMPLATE


@pytest.fixture(scope="session")
def plain(postgres: Postgres) -> str:
    """The name of a database with the baseline and nothing of ours, to be copied."""
    asyncio.run(execute(postgres.url(), "create database plain"))
    asyncio.run(execute(postgres.url("plain"), BASELINE.read_text()))
    return "plain"


async def drop(url: str, name: str) -> None:
    """Also while a client that has just gone is being cleared away."""
    while True:
        try:
            await execute(url, f"drop database {name} with (force)")
        except asyncpg.ObjectInUseError:  # its replication slot is still there
            await asyncio.sleep(0.05)
        else:
            return


@contextmanager
def copied(postgres: Postgres, template: str) -> Iterator[str]:
    """The superuser's URL of a fresh database."""
    name = f"test_{secrets.token_hex(6)}"
    asyncio.run(execute(postgres.url(), f"create database {name} template {template} strategy file_copy"))
    yield postgres.url(name)
    asyncio.run(drop(postgres.url(), name))


@pytest.fixture(scope="module")
def database_url(postgres: Postgres, template: str) -> Iterator[str]:
    """A fresh database of the module's own, baseline and migrations applied; the URL is the superuser's."""
    with copied(postgres, template) as url:
        yield url
