"""Reads every committed change of a publication, in commit order, from a temporary logical slot."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

from supabase_standin.database import CONNECTION_ERRORS, connect, hang_up
from supabase_standin.realtime.pgoutput import Change, Decoder, Relation

log = logging.getLogger(__name__)

GET: Final = """
select data from pg_logical_slot_get_binary_changes($1, null, $2, 'proto_version', '1', 'publication_names', $3)
"""
BATCH: Final = 2000
PIECE: Final = 100
"""What is handed on at once: a transaction of any size comes in one batch, and must not hold up the sockets."""
EAGER_S: Final = 0.02
LAZY_S: Final = 0.5
"""How often the log is looked at while somebody listens, and while nobody does: the slot must go on, or the log piles up."""


class Replication:
    """Runs for ever; whatever happens to Postgres, it connects again and goes on with what is committed from then on."""

    def __init__(
        self,
        url: str,
        publication: str,
        *,
        take: Callable[[list[Change]], Awaitable[None]],
        busy: Callable[[], bool],
        on_live: Callable[[], Awaitable[None]],
        wants: Callable[[Relation], bool] = lambda _: True,
        on_caught_up: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`take` gets the changes of the relations that it `wants`, while somebody listens (`busy`).

        `on_live` is called after every (re)connect, before `live` is set; `on_caught_up` with a snapshot of the
        database once everything it sees was handed on.
        """
        self._url = url
        self._publication = publication
        self._take = take
        self._busy = busy
        self._on_live = on_live
        self._wants = wants
        self._on_caught_up = on_caught_up
        self.live = asyncio.Event()

    async def run(self) -> None:
        backoff_s = 0.1
        while True:
            try:
                connection = await connect(self._url, f"gateway slot of {self._publication}")
                try:
                    backoff_s = 0.1
                    await self._follow(connection)
                finally:
                    self.live.clear()
                    await hang_up(connection)
            except Exception as error:  # noqa: BLE001 - it runs for ever, whatever a dying server makes of its client
                log.warning("realtime.replication.lost: %r; trying again in %.1f s", error, backoff_s)
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, 2.0)

    async def _follow(self, connection: Any) -> None:
        slot = f"supabase_realtime_replication_slot_{secrets.token_hex(6)}"
        await connection.fetchval("select pg_create_logical_replication_slot($1, 'pgoutput', true)", slot)
        await self._on_live()
        self.live.set()
        seen = ""
        while True:
            # Looking at a position is far cheaper than decoding: an idle database costs next to nothing.
            flushed, snapshot = await connection.fetchrow(
                "select pg_current_wal_flush_lsn()::text, pg_current_snapshot()::text"
            )
            if flushed == seen:
                await asyncio.sleep(EAGER_S if self._busy() else LAZY_S)
                continue
            rows = await connection.fetch(GET, slot, BATCH, self._publication)
            if self._busy():
                await self._hand_on([row["data"] for row in rows])
            if len(rows) < BATCH:
                seen = flushed
                self._on_caught_up(snapshot)

    async def _hand_on(self, messages: list[bytes]) -> None:
        decoder = Decoder(self._wants)  # the slot describes the relations anew at every look
        for start in range(0, len(messages), PIECE):
            changes = [change for message in messages[start : start + PIECE] for change in decoder.feed(message)]
            try:
                await self._take(changes)
            except CONNECTION_ERRORS:
                raise
            except Exception:  # what cannot be told must not silence all that follows
                log.exception("realtime.changes.failed: %d are not announced", len(changes))
            await asyncio.sleep(0)
