"""Everything the sockets of one project share."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from rhythmai.local.database import Database
from rhythmai.local.keys import Keys
from rhythmai.local.realtime.changes import Changes
from rhythmai.local.realtime.limits import Limits
from rhythmai.local.realtime.messages import is_message, send_message
from rhythmai.local.realtime.pgoutput import Change
from rhythmai.local.realtime.presence import Presence
from rhythmai.local.realtime.replication import Replication
from rhythmai.local.realtime.subscriptions import Subscriptions
from rhythmai.local.realtime.topics import Topics

if TYPE_CHECKING:
    from rhythmai.local.realtime.socket import Socket

GOODBYE_S: Final = 2.0
"""How long clients have to answer that the gateway stops."""


class Project:
    """The topics, the presence, the change feed, and who is connected."""

    def __init__(self, database: Database, keys: Keys, limits: Limits) -> None:
        self.database = database
        self.keys = keys
        self.limits = limits
        self.sockets: set[Socket] = set()
        self.topics = Topics()
        self.presence = Presence(self.topics)
        self.changes = Changes(database, limits)
        self.replication = Replication(
            database.url,
            on_change=self._on_change,
            on_batch=self.changes.forget_tables,
            on_live=self._on_live,
            busy=lambda: self.topics.busy,
        )
        self.subscriptions = Subscriptions(database, self.changes, self.replication.live)

    async def _on_change(self, change: Change) -> None:
        if is_message(change):
            send_message(change, self.topics)
        else:
            await self.changes.announce(change)

    async def _on_live(self) -> None:
        await self.database.open()  # after a restart it may be another database
        self.subscriptions.renew()

    async def close(self) -> None:
        """Say goodbye to every socket."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await asyncio.gather(*(socket.close() for socket in tuple(self.sockets)), return_exceptions=True)
