"""Broadcasts out of the database: rows of realtime.messages, as the slot hands them over, or replayed to who joins late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg

from supabase_standin.database import Database
from supabase_standin.realtime.frames import BYTES, JSON, UserBroadcast
from supabase_standin.realtime.pgoutput import Change
from supabase_standin.realtime.topics import Topic, Topics


class Messages:
    """Sends every message once, also those that were committed while there was no slot."""

    def __init__(self, database: Database, topics: Topics) -> None:
        self._database = database
        self._topics = topics
        self._snapshot = ""
        self._sent: tuple[set[str], set[str]] = set(), set()
        """The ids before and since the snapshot: what a new slot and a look into the table may both give. A slot reads what is flushed;
        with synchronous_commit off a table shows more, which the slot then gives one round later."""

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
        self._sent = self._sent[1], set()

    async def resume(self) -> None:
        """Send what was committed while there was no slot. Raises the database's errors."""
        async with self._database.transaction() as connection:
            for row in await connection.fetch("select * from gateway.messages_since($1)", self._snapshot):
                self._send(row)

    def _send(self, row: Mapping[str, str | None]) -> None:
        message, name, payload, binary = row["id"], row["topic"], row.get("payload"), row.get("binary_payload")
        if (
            row["extension"] != "broadcast"
            or name is None
            or message is None
            or any(message in sent for sent in self._sent)
        ):
            return
        self._sent[1].add(message)
        topic = Topic(name, row["private"] == "t")
        if payload is not None:
            encoding, data = JSON, payload.encode()
        elif binary is not None:
            encoding, data = BYTES, bytes.fromhex(binary.removeprefix("\\x"))
        else:
            return
        self._topics.send(topic, UserBroadcast(topic.wire, row["event"] or "", {"id": message}, encoding, data))


class CannotReplay(Exception):
    """The join asked for a replay that cannot be given."""


async def replay(
    database: Database, topic: Topic, wish: dict[str, Any], limit: int
) -> list[dict[str, Any] | UserBroadcast]:
    """The newest messages since `wish["since"]` (Unix milliseconds), oldest first: broadcast payloads, or bytes.

    At most `limit`, or `wish["limit"]` when that is less. Raises CannotReplay, or the database's errors.
    """
    if not topic.private:
        raise CannotReplay("Replay is not allowed for public channels")
    try:
        since = datetime.fromtimestamp(wish["since"] / 1000, UTC).replace(tzinfo=None)
        count = min(max(int(wish.get("limit", limit)), 1), limit)
    except (KeyError, TypeError, OverflowError, ValueError, OSError) as error:
        raise CannotReplay("Replay params are not valid") from error
    async with database.transaction() as connection:
        rows = await connection.fetch(
            """
            select id, event, payload, binary_payload from realtime.messages
            where topic = $1 and private and extension = 'broadcast' and inserted_at >= $2
              and (payload is not null or binary_payload is not null)
            order by inserted_at desc, id desc limit $3
            """,
            topic.name, since, count,
        )  # fmt: skip
    return [_message(topic, row) for row in reversed(rows)]


def _message(topic: Topic, row: asyncpg.Record) -> dict[str, Any] | UserBroadcast:
    meta = {"id": str(row["id"]), "replayed": True}
    if row["payload"] is None:
        return UserBroadcast(topic.wire, row["event"] or "", meta, BYTES, row["binary_payload"])
    return {"event": row["event"], "type": "broadcast", "payload": row["payload"], "meta": meta}
