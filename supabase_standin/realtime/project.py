"""Everything the sockets of one project share."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, Protocol

from supabase_standin.authentication import ProjectKeys
from supabase_standin.database import Database
from supabase_standin.realtime.changes import Changes
from supabase_standin.realtime.limits import Limits
from supabase_standin.realtime.messages import Messages
from supabase_standin.realtime.presence import Presence
from supabase_standin.realtime.replication import Replication
from supabase_standin.realtime.subscriptions import Subscriptions
from supabase_standin.realtime.topics import Topics

GOODBYE_S: Final = 2.0
"""How long clients have to answer that the gateway stops."""


class Closable(Protocol):
    """A client's connection."""

    async def close(self) -> None: ...


class Project:
    """The topics, the presence, the change feed, and who is connected."""

    def __init__(self, database: Database, keys: ProjectKeys, limits: Limits) -> None:
        self.database = database
        self.keys = keys
        self.limits = limits
        self.sockets: set[Closable] = set()
        self.topics = Topics()
        self.presence = Presence(self.topics)
        self.changes = Changes(database, limits)
        self._messages = Messages(database, self.topics)
        # A slot each, as on a hosted project: broadcasts do not wait until changed rows are filtered and authorised.
        self.broadcast_feed = Replication(
            database.url, "supabase_realtime_messages_publication", take=self._messages.take,
            busy=lambda: self.topics.busy, on_live=self._resume_broadcasts, on_caught_up=self._messages.caught_up,
        )  # fmt: skip
        self.change_feed = Replication(
            database.url, "supabase_realtime", take=self.changes.announce,
            busy=lambda: self.changes.busy, on_live=self._resume_changes, wants=self.changes.want,
        )  # fmt: skip
        self.subscriptions = Subscriptions(database, self.changes, self.change_feed.live)

    async def open(self) -> None:
        """From here on no broadcast of the database is missed. Raises the database's errors."""
        await self._messages.open()

    async def _resume_broadcasts(self) -> None:
        await self.database.open()  # after a restart it may be another database
        await self._messages.resume()

    async def _resume_changes(self) -> None:
        await self.database.open()
        self.subscriptions.renew()

    async def close(self) -> None:
        """Say goodbye to every socket."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await asyncio.gather(*(socket.close() for socket in tuple(self.sockets)), return_exceptions=True)
