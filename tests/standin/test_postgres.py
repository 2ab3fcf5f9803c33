"""The embedded server and the shape laid on it."""

import asyncpg
import pytest

from rhythmai.local.postgres import AlreadyRunning, Postgres
from supabase_standin import BASELINE


async def test_a_second_start_is_detected(postgres):
    """A second server over the same data directory is refused and names the first one."""
    with pytest.raises(AlreadyRunning) as refusal:
        Postgres(postgres.data, password="x").start()
    assert refusal.value.pid == postgres.pid
    assert refusal.value.port == postgres.port


async def test_tcp_wants_the_password(postgres):
    """A wrong password is refused over TCP."""
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(
            host="127.0.0.1", port=postgres.port, user="postgres", password="wrong", database="postgres"
        )


async def test_the_baseline_can_be_laid_again(database_url):
    """The baseline is idempotent."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(BASELINE.read_text())
        assert await connection.fetchval("show wal_level") == "logical"
    finally:
        await connection.close()


async def test_new_objects_are_open_until_revoked(database_url):
    """Supabase's default privileges hold: a new table and a new function in public belong to anon too."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "create table public.open_door (id int); create function public.knock() returns int language sql as 'select 1'"
        )
        assert await connection.fetchval("select has_table_privilege('anon', 'public.open_door', 'insert')")
        assert await connection.fetchval("select has_function_privilege('anon', 'public.knock()', 'execute')")
    finally:
        await connection.close()


async def test_a_restart_keeps_the_data(data_folder):
    """A server that was stopped starts again over its data, on the asked port."""
    server = Postgres(data_folder, password="secret word/?", careless=True)
    try:
        server.start()
        connection = await asyncpg.connect(server.url())
        await connection.execute("create table kept (id int)")
        await connection.close()
        server.stop()
        assert server.pid is None
        server.start()
        connection = await asyncpg.connect(server.url())
        assert await connection.fetchval("select count(*) from kept") == 0
        await connection.close()
    finally:
        server.stop()
