"""Reads every committed change of the two publications, in commit order, from a temporary logical slot."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

from rhythmai.local.database import CONNECTION_ERRORS, connect, hang_up
from rhythmai.local.realtime.pgoutput import Change, Decoder

log = logging.getLogger(__name__)

PUBLICATIONS: Final = "supabase_realtime,supabase_realtime_messages_publication"
BATCH: Final = 2000
EAGER_S: Final = 0.02
LAZY_S: Final = 0.5
"""How often the log is looked at while somebody listens, and while nobody does: the slot must go on, or the log piles up."""


class Replication:
    """Runs for ever; whatever happens to Postgres, it connects again and goes on with what is committed from then on."""

    def __init__(
        self,
        url: str,
        *,
        on_change: Callable[[Change], Awaitable[None]],
        on_batch: Callable[[], None],
        on_live: Callable[[], Awaitable[None]],
        busy: Callable[[], bool],
    ) -> None:
        """`on_live` is called after every (re)connect, before `live` is set, `on_batch` before the changes of each look into the log."""
        self._url = url
        self._on_change = on_change
        self._on_batch = on_batch
        self._on_live = on_live
        self._busy = busy
        self.live = asyncio.Event()

    async def run(self) -> None:
        backoff_s = 0.1
        while True:
            try:
                connection = await connect(self._url, "gateway slot")
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
            flushed = await connection.fetchval("select pg_current_wal_flush_lsn()::text")
            if flushed == seen:
                await asyncio.sleep(EAGER_S if self._busy() else LAZY_S)
                continue
            rows = await connection.fetch(
                "select data from pg_logical_slot_get_binary_changes($1, null, $2, 'proto_version', '1', 'publication_names', $3)",
                slot,
                BATCH,
                PUBLICATIONS,
            )
            await self._hand_on([row["data"] for row in rows])
            if len(rows) < BATCH:
                seen = flushed

    async def _hand_on(self, messages: list[bytes]) -> None:
        self._on_batch()
        decoder = Decoder()  # the slot describes the relations anew at every look
        for message in messages:
            for change in decoder.feed(message):
                try:
                    await self._on_change(change)
                except CONNECTION_ERRORS:
                    raise
                except Exception:  # one row that cannot be told must not silence all that follow
                    log.exception(
                        "realtime.change.failed: %s of %s is not announced", change.kind, change.relation.name
                    )
