"""The gateways' connections: a pool that survives restarts of Postgres, and transactions in somebody else's role."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import asyncpg

from supabase_standin.authentication import Identity

FUNCTIONS: Final = Path(__file__).with_name("gateway.sql")
CONNECTION_ERRORS: Final = (
    OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError, asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg makes of a server that dies in mid-sentence
)  # fmt: skip
"""What tells that Postgres is away, not that a statement is wrong."""


async def prepare(connection: Any) -> None:
    """JSON goes in and comes out as Python values."""
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def leave_as_it_is(_: Any) -> None:
    """All we set ends with its transaction: between two of them there is nothing to reset, and a round trip to save."""


async def connect(url: str, name: str) -> Any:
    """A connection of one's own. Raises one of CONNECTION_ERRORS."""
    attempt = asyncio.ensure_future(asyncpg.connect(url, timeout=5, server_settings={"application_name": name}))
    try:
        return await asyncio.shield(attempt)
    except asyncio.CancelledError:
        # asyncpg leaks the socket of a connect that is cancelled halfway: let it end first.
        await asyncio.wait([attempt])
        if not attempt.cancelled() and attempt.exception() is None:
            attempt.result().terminate()
        raise


async def hang_up(connection: Any) -> None:
    """Close politely, so that the server lets go at once of what the connection held; or else abruptly."""
    try:
        await connection.close(timeout=2)
    except Exception:  # noqa: BLE001 - a server that dies meanwhile confuses asyncpg in ways of its own
        connection.terminate()


class Database:
    """A lazily connected pool; every connection is the superuser's."""

    def __init__(self, url: str, *, statement_timeout_s: float = 0.0) -> None:
        """Statements that take longer than the timeout are cancelled; 0 lets them run."""
        self.url = url
        self._pool: Any = asyncpg.create_pool(
            url, min_size=0, max_size=10, init=prepare, reset=leave_as_it_is, timeout=5, server_settings={
                "timezone": "UTC", "application_name": "gateway", "statement_timeout": f"{statement_timeout_s * 1000:.0f}",
            },
        )  # fmt: skip

    async def open(self) -> None:
        """Lay the gateways' own functions. Raises one of CONNECTION_ERRORS while Postgres is away."""
        await self._pool
        async with self.transaction() as connection:
            # Two gateways that start together would trip over each other's `create or replace`.
            await connection.execute("select pg_advisory_xact_lock(7241130)")
            await connection.execute(FUNCTIONS.read_text())

    async def close(self) -> None:
        with suppress(asyncpg.InterfaceError):  # it was never opened
            self._pool.terminate()

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        """One statement as superuser, in one round trip."""
        async with self._pool.acquire() as connection:
            return await connection.fetchrow(query, *arguments)

    @asynccontextmanager
    async def transaction(self, *, undo: bool = False) -> AsyncIterator[Any]:
        """A transaction as superuser; with `undo` it is rolled back even when all goes well."""
        async with self._pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield connection
            except BaseException:
                if not connection.is_closed():
                    await transaction.rollback()
                raise
            await (transaction.rollback() if undo else transaction.commit())

    @asynccontextmanager
    async def as_identity(self, identity: Identity, *, undo: bool = False) -> AsyncIterator[Any]:
        """A transaction in which policies and grants of the identity's role hold."""
        async with self.transaction(undo=undo) as connection:
            await connection.fetch("select gateway.become($1, $2)", identity.role, identity.claims_json)
            yield connection
