"""Migrations on a real Postgres, recorded as the supabase CLI records them."""

from __future__ import annotations

import asyncio
import secrets

import asyncpg
import pytest

from rhythmai.drift import State, standings
from rhythmai.errors import BadInput
from rhythmai.local import stack
from rhythmai.project.environment import Policy
from rhythmai.schema import Migration, MigrationFailed, bundled, migrate
from supabase_standin import BASELINE

ONE = Migration("20260101000000", "one", "create table public.one (id int); insert into public.one values (1);")
BROKEN = Migration("20260101000001", "broken", "create table public.two (id int); select nonsense;")


@pytest.fixture
async def database(postgres):
    """A connection to a new, empty database, and its URL."""
    name = f"schema_{secrets.token_hex(6)}"
    root = await asyncpg.connect(postgres.url())
    await root.execute(f"create database {name}")
    connection = await asyncpg.connect(postgres.url(name))
    yield connection, postgres.url(name)
    await connection.close()
    await root.execute(f"drop database {name} with (force)")
    await root.close()


async def states(connection, migrations):
    return [standing.state for standing in await standings(connection, migrations)]


async def test_the_bundled_migrations_apply_once(database):
    """All our migrations apply on the baseline, are recorded by version and name, and are not applied again."""
    connection, _ = database
    await connection.execute(BASELINE.read_text())
    assert set(await states(connection, bundled())) == {State.PENDING}
    assert await migrate(connection, bundled()) == list(bundled())
    assert await migrate(connection, bundled()) == []
    assert set(await states(connection, bundled())) == {State.APPLIED}
    row = await connection.fetchrow("select * from supabase_migrations.schema_migrations order by version limit 1")
    first = bundled()[0]
    assert (row["version"], row["name"], row["statements"]) == (first.version, first.name, [first.sql])


async def test_a_failed_file_leaves_nothing(database):
    """A file that fails is undone whole and named; the files before it hold."""
    connection, _ = database
    with pytest.raises(MigrationFailed, match="20260101000001_broken"):
        await migrate(connection, [ONE, BROKEN])
    assert await states(connection, [ONE, BROKEN]) == [State.APPLIED, State.PENDING]
    assert await connection.fetchval("select to_regclass('public.two')") is None


async def test_two_at_a_time(database):
    """Two that migrate at the same time apply each file once."""
    connection, url = database
    other = await asyncpg.connect(url)
    done = await asyncio.gather(migrate(connection, [ONE]), migrate(other, [ONE]))
    await other.close()
    assert sorted(map(len, done)) == [0, 1]
    assert await connection.fetchval("select count(*) from public.one") == 1


async def test_a_stack_of_another_version_says_what_to_do(database, tmp_path):
    """A local stack whose migrations were others than ours is not half changed, but named with what to do."""
    connection, url = database
    first = bundled()[0]
    await migrate(connection, [Migration(first.version, first.name, "select 1")])
    with pytest.raises(BadInput, match=f"{tmp_path} was made by another version of rhythmai: delete that folder"):
        await stack._lay(tmp_path, url, (), Policy())
