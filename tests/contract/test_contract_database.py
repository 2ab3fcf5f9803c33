"""Databases that cannot just now, and answers that nobody expected: both hosts tell the two apart."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager

import pytest

from tests.contract.conftest import ask


@asynccontextmanager
async def instead_of_health(db, body: str, returns: str = "jsonb"):
    """While it lasts, the function that /healthz calls is this one."""
    await db.execute("alter function queue.health() rename to kept_health")
    await db.execute(f"create function queue.health() returns {returns} language plpgsql as $$ begin {body} end $$")
    try:
        yield
    finally:
        await db.execute("drop function queue.health()")
        await db.execute("alter function queue.kept_health() rename to health")


@pytest.mark.parametrize("code", ["25006", "40001", "40P01", "53300", "57P01", "58030", "XX000"])
async def test_what_passes_by_itself_is_503(api, db, code):
    """A replica, a deadlock, a full disk or a shutdown is a reason to come back, and no fault of ours."""
    async with (
        instead_of_health(db, f"raise exception 'not now' using errcode = '{code}';"),
        api.get("/healthz") as answer,
    ):
        problem = await answer.json(content_type=None)
        assert (answer.status, problem["code"], answer.headers.get("Retry-After")) == (503, "database_unavailable", "5")
    assert (await ask(api, "get", "/healthz"))[0] == 200


async def test_a_read_only_database_is_not_ok(start, db):
    """A replica, or a database whose disk is full, answers questions and takes no jobs: /healthz says so."""
    here = await db.fetchval("select quote_ident(current_database())")
    await db.execute(f"alter database {here} set default_transaction_read_only = on")
    try:
        async with (await asyncio.to_thread(start)).session() as api:
            status, problem = await ask(api, "get", "/healthz")
            assert (status, problem["code"]) == (503, "database_unavailable")
            assert "is read-only" in problem["detail"]
            await db.execute(f"alter database {here} reset default_transaction_read_only")
        async with (await asyncio.to_thread(start)).session() as api:
            assert (await ask(api, "get", "/healthz"))[1]["status"] == "ok"
    finally:
        await db.execute(f"alter database {here} reset default_transaction_read_only")


async def test_a_pooler_without_connections_is_503(start):
    """What Supabase's pooler answers to one client too many is a reason to come back."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(4))
        if (await reader.readexactly(length - 4))[:4] == (80877103).to_bytes(4):  # may we speak TLS?
            writer.write(b"N")
            await reader.readexactly(int.from_bytes(await reader.readexactly(4)) - 4)
        fields = b"SFATAL\0VFATAL\0CXX000\0MMax client connections reached\0\0"
        writer.write(b"E" + (len(fields) + 4).to_bytes(4) + fields)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1") as pooler:
        port = pooler.sockets[0].getsockname()[1]
        url = f"postgresql://postgres:word@127.0.0.1:{port}/postgres"
        async with (await asyncio.to_thread(start, SUPABASE_DB_URL=url)).session() as api:
            status, problem = await ask(api, "get", "/healthz")
    assert (status, problem["code"]) == (503, "database_unavailable")


async def test_what_nobody_expected_is_500_and_logged(start, db):
    """An answer that our code does not understand is a bug of ours, not a database that is away."""
    host = start()
    async with host.session() as api, instead_of_health(db, "return;", "setof jsonb"):
        status, problem = await ask(api, "get", "/healthz")
    host.stop()
    assert (status, problem["code"]) == (500, "internal")
    assert re.search(r'"request.broke".*TypeError|TypeError.*"request.broke"', host.output)
    assert "database.away" not in host.output
