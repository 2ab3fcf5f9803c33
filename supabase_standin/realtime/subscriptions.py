"""Brings bindings to life: checks them against the database, tells the client, and tries again where that may help."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import asyncpg

from supabase_standin.database import CONNECTION_ERRORS, Database
from supabase_standin.realtime.bindings import Binding
from supabase_standin.realtime.changes import Changes, matches, views
from supabase_standin.realtime.topics import Member

log = logging.getLogger(__name__)

RETRY_S: Final = 5.0
AWAY_S: Final = 0.5
LIVE: Final = "Subscribed to PostgreSQL"


class Refused(Exception):
    """The subscription cannot be made as it is; `again` tells whether it may work later."""

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.again = again


class Subscriptions:
    """One task for each channel that wants changes."""

    def __init__(self, database: Database, changes: Changes, live: asyncio.Event) -> None:
        self._database = database
        self._changes = changes
        self._live = live
        self._tasks: dict[Member, asyncio.Task[None]] = {}

    def start(self, subscriber: Member) -> None:
        """Make the channel's bindings live and say so, or say why not."""
        if running := self._tasks.get(subscriber):
            running.cancel()
        self._tasks[subscriber] = asyncio.create_task(self._establish(subscriber))

    def stop(self, subscriber: Member) -> None:
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

    async def establish_once(self, subscriber: Member) -> None:
        """Raises Refused, or the database's errors."""
        await self._live.wait()
        bindings = self._changes.of(subscriber)
        async with self._database.transaction() as connection:
            for binding in bindings:
                try:
                    await self._check(connection, binding)
                except CONNECTION_ERRORS:
                    raise
                except asyncpg.PostgresError as error:
                    raise Refused(binding.unable(str(error)), again=False) from error
            position = await connection.fetchval("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        for binding in bindings:
            if binding.live_from is None:  # a client that waited for it has been told already
                binding.live_from = int(position)

    async def _establish(self, subscriber: Member) -> None:
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
        identity, conditions = binding.subscriber.identity, binding.conditions
        for table in tables if conditions else ():
            (view,) = await views(connection, table, [], [(identity.role, identity.claims_json)])
            for condition in conditions:
                if condition.column not in view["columns"]:
                    raise Refused(binding.unable(f"invalid column for filter {condition.column}"), again=False)
            for answer in await matches(connection, table, [{}], conditions):
                if answer["failure"]:
                    raise Refused(binding.unable(answer["failure"]), again=False)
