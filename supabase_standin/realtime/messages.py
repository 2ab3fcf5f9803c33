"""Broadcasts out of the database: rows of realtime.messages, as the slot hands them over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from supabase_standin.database import Database
from supabase_standin.realtime.fanout import UserBroadcast
from supabase_standin.realtime.frames import BYTES, JSON
from supabase_standin.realtime.pgoutput import Change
from supabase_standin.realtime.topics import Topic, Topics


class Messages:
    """Sends every message once, also those that were committed while there was no slot."""

    def __init__(self, database: Database, topics: Topics) -> None:
        self._database = database
        self._topics = topics
        self._snapshot = ""
        self._sent: set[str] = set()
        """The ids since the snapshot: what a new slot and a look into the table may both give."""

    async def open(self) -> None:
        """What is committed from now on is sent. Raises the database's errors."""
        async with self._database.transaction() as connection:
            self.caught_up(await connection.fetchval("select pg_current_snapshot()::text"))

    async def take(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind == "INSERT":
                self._send(change.new)

    def caught_up(self, snapshot: str) -> None:
        """Whatever this snapshot of the database sees has been sent."""
        self._snapshot = snapshot
        self._sent.clear()

    async def resume(self) -> None:
        """Send what was committed while there was no slot. Raises the database's errors."""
        async with self._database.transaction() as connection:
            for row in await connection.fetch("select * from gateway.messages_since($1)", self._snapshot):
                self._send(row)

    def _send(self, row: Mapping[str, str | None]) -> None:
        message, name, payload, binary = row["id"], row["topic"], row.get("payload"), row.get("binary_payload")
        if row["extension"] != "broadcast" or name is None or message is None or message in self._sent:
            return
        self._sent.add(message)
        topic = Topic(name, row["private"] == "t")
        if payload is not None:
            encoding, data = JSON, payload.encode()
        elif binary is not None:
            encoding, data = BYTES, bytes.fromhex(binary.removeprefix("\\x"))
        else:
            return
        self._topics.send(topic, UserBroadcast(topic.wire, row["event"] or "", {"id": message}, encoding, data))
