"""Recent broadcasts from the database, for a client that joins a private channel late."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg

from supabase_standin.database import Database
from supabase_standin.realtime.fanout import UserBroadcast
from supabase_standin.realtime.frames import BYTES
from supabase_standin.realtime.topics import Topic


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
    since, asked = wish.get("since"), wish.get("limit", limit)
    if not isinstance(since, int | float) or not isinstance(asked, int):
        raise CannotReplay("Replay params are not valid")
    try:
        moment = datetime.fromtimestamp(since / 1000, UTC).replace(tzinfo=None)
    except (OverflowError, ValueError, OSError) as error:
        raise CannotReplay("Replay params are not valid") from error
    async with database.transaction() as connection:
        rows = await connection.fetch(
            """
            select id, event, payload, binary_payload from realtime.messages
            where topic = $1 and private and extension = 'broadcast' and inserted_at >= $2
              and (payload is not null or binary_payload is not null)
            order by inserted_at desc, id desc limit $3
            """,
            topic.name,
            moment,
            min(max(asked, 1), limit),
        )
    return [_message(topic, row) for row in reversed(rows)]


def _message(topic: Topic, row: asyncpg.Record) -> dict[str, Any] | UserBroadcast:
    meta = {"id": str(row["id"]), "replayed": True}
    if row["payload"] is None:
        return UserBroadcast(topic.wire, row["event"] or "", meta, BYTES, row["binary_payload"])
    return {"event": row["event"], "type": "broadcast", "payload": row["payload"], "meta": meta}
