"""Which Postgres these tests run on, and an empty queue for each.

Modules run on the newest Postgres, and with --oldest also on the oldest there is: the system's 15, else the embedded 16.
A module with `NEWEST_ONLY = True` runs on the newest only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.conftest import fixture
from tests.database.desk import EMPTY, Queue, connect
from tests.database.fleets import Clock

OLDEST = "15" if Path("/usr/lib/postgresql/15/bin").exists() else "16"


def pytest_generate_tests(metafunc):
    wanted = metafunc.config.getoption("--oldest") and not getattr(metafunc.module, "NEWEST_ONLY", False)
    if wanted and "postgres" in metafunc.fixturenames:
        versions = {"newest": None, "oldest": OLDEST}
        metafunc.parametrize("postgres", versions.values(), ids=versions, indirect=True, scope="session")


@fixture(scope="module")
async def kept(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection, in which functions are compiled once a module."""
    connection = await connect(database_url)
    yield connection
    await connection.close()


@fixture
async def db(kept: asyncpg.Connection) -> asyncpg.Connection:
    """That connection, to an empty queue; jsonb comes and goes as Python values."""
    await kept.reset()
    await kept.execute(EMPTY)
    return kept


@fixture
async def clock(db: asyncpg.Connection) -> AsyncIterator[Clock]:
    clock = Clock(db)
    await clock.stop()
    yield clock
    await clock.go_on()


@pytest.fixture
def queue(db: asyncpg.Connection) -> Queue:
    return Queue(db)


@fixture
async def dial(database_url: str) -> AsyncIterator[Any]:
    """Call it for one more connection; all are closed at the end."""
    opened: list[asyncpg.Connection] = []

    async def one_more() -> asyncpg.Connection:
        opened.append(await connect(database_url))
        return opened[-1]

    yield one_more
    for connection in opened:
        await connection.close()
