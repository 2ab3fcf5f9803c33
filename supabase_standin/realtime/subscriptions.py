"""Brings bindings to life: checks them against the database, tells the client, and tries again where that may help."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import asyncpg

from supabase_standin.database import CONNECTION_ERRORS, Database
from supabase_standin.realtime.bindings import Binding, Subscriber
from supabase_standin.realtime.changes import Changes
from supabase_standin.realtime.filters import PATTERNS

log = logging.getLogger(__name__)

RETRY_S: Final = 5.0
AWAY_S: Final = 0.5
READY_S: Final = 60.0
LIVE: Final = "Subscribed to PostgreSQL"


class Refused(Exception):
    """The subscription cannot be made as it is; `again` tells whether it may work later."""

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.again = again


class Subscriptions:
    """One task for each channel that wants changes."""

    def __init__(
        self, database: Database, changes: Changes, *, live: asyncio.Event, broadcasts_live: asyncio.Event
    ) -> None:
        self._database = database
        self._changes = changes
        self._live = live
        self._broadcasts_live = broadcasts_live
        self._tasks: dict[Subscriber, asyncio.Task[None]] = {}

    def start(self, subscriber: Subscriber, *, ready: bool = False) -> None:
        """Make the channel's bindings live and say so, or say why not; with `ready`, tell first when broadcasts are live."""
        if running := self._tasks.get(subscriber):
            running.cancel()
        self._tasks[subscriber] = asyncio.create_task(self._run(subscriber, ready=ready))

    def stop(self, subscriber: Subscriber) -> None:
        self._changes.drop(subscriber)
        if task := self._tasks.pop(subscriber, None):
            task.cancel()

    def renew(self) -> None:
        """After the slot was lost: who was told before is told again, and reads again what it may have missed."""
        for subscriber, task in tuple(self._tasks.items()):
            if task.done():
                for binding in self._changes.of(subscriber):
                    binding.live_from = None
                self.start(subscriber)

    async def establish_once(self, subscriber: Subscriber) -> None:
        """Raises Refused, or the database's errors."""
        await self._live.wait()
        bindings = self._changes.of(subscriber)
        async with self._database.transaction() as connection:
            for binding in bindings:
                await self._check(connection, binding)
            position = await connection.fetchval("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        for binding in bindings:
            if binding.live_from is None:  # a client that waited for it has been told already
                binding.live_from = int(position)

    async def _run(self, subscriber: Subscriber, *, ready: bool) -> None:
        if ready:
            try:
                async with asyncio.timeout(READY_S):
                    await self._broadcasts_live.wait()
            except TimeoutError:
                subscriber.tell("error", "system", "Replication connection was not established in time")
                subscriber.end()
                return
            subscriber.tell("ok", "system", "Replication connection established")
        if self._changes.of(subscriber):
            await self._establish(subscriber)

    async def _establish(self, subscriber: Subscriber) -> None:
        while True:
            try:
                await self.establish_once(subscriber)
            except Refused as refusal:
                subscriber.tell("error", "postgres_changes", str(refusal))
                if not refusal.again:
                    return
                await asyncio.sleep(RETRY_S)
            except CONNECTION_ERRORS as error:
                log.warning("realtime.subscription.waiting: %s", error)
                await asyncio.sleep(AWAY_S)
            else:
                subscriber.tell("ok", "postgres_changes", LIVE)
                return

    async def _check(self, connection: Any, binding: Binding) -> None:
        tables = await connection.fetchval("select gateway.published($1, $2)", binding.schema, binding.table)
        if not tables and "*" not in (binding.schema, binding.table):
            raise Refused(
                "Unable to subscribe to changes with given parameters. "
                f"Please check Realtime is enabled for the given connect parameters: {binding}",
                again=True,
            )
        for table in tables:
            try:
                async with connection.transaction():
                    await self._check_columns(connection, table, binding)
            except asyncpg.PostgresError as error:
                raise Refused(binding.unable(str(error)), again=False) from error

    async def _check_columns(self, connection: Any, table: int, binding: Binding) -> None:
        asked = [("select", column) for column in binding.select or ()]
        asked += [("filter", condition.column) for condition in binding.conditions]
        role = binding.subscriber.identity.role
        for use, column in asked:
            if not await connection.fetchval("select gateway.may_read($1, $2, $3)", table, column, role):
                raise Refused(binding.unable(f"invalid column for {use} {column}"), again=False)
        for condition in binding.conditions:
            await connection.fetchval(
                "select gateway.passes($1, $2, $3, $4, $5)",
                table,
                [{condition.column: "" if condition.operator in PATTERNS else None}],
                condition.column,
                condition.operator,
                condition.value,
            )
