"""The heartbeat: its own thread, its own event loop, its own connection, so that busy code never looks like death."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Literal
from uuid import UUID

import asyncpg
import structlog

from rhythmai.dsn import connect_arguments
from worker.database import APPLICATION, AWAY
from worker.domain import Lease

log = structlog.get_logger()
Verdict = Literal["lost", "cancelled"]


class Heartbeat:
    """Beats for a worker until stopped; tells the holders of leases what to stop.

    Callbacks run in the heartbeat's thread: they must be quick and thread-safe. A beat that fails is tried again at the
    next one; whether a lease was lost meanwhile is the database's to say, and every write is fenced.
    """

    def __init__(
        self,
        dsn: str,
        worker_id: int,
        *,
        every: timedelta,
        on_drain: Callable[[], None],
        on_beat: Callable[[], None] | None = None,
    ) -> None:
        self._dsn = dsn
        self._worker_id = worker_id
        self._every_s = every.total_seconds()
        self._on_drain = on_drain
        self._on_beat = on_beat
        self._held: dict[tuple[UUID, int], Callable[[Verdict], None]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; blocks until it has ended (a beat in flight is waited for, 5 s at most)."""
        self._stopping.set()
        self._thread.join(5)

    def hold(self, lease: Lease, on_stop: Callable[[Verdict], None]) -> None:
        """Watch a lease: `on_stop` is called once when the user cancelled the job or the lease was lost."""
        with self._lock:
            self._held[lease.job_id, lease.attempt] = on_stop

    def drop(self, lease: Lease) -> None:
        with self._lock:
            self._held.pop((lease.job_id, lease.attempt), None)

    def _run(self) -> None:
        asyncio.run(self._beat_until_stopped())

    async def _beat_until_stopped(self) -> None:
        connection: asyncpg.Connection | None = None
        while not self._stopping.is_set():
            try:
                if connection is None or connection.is_closed():
                    connection = await asyncpg.connect(timeout=10, **connect_arguments(self._dsn, APPLICATION))
                await self._beat(connection)
            except (*AWAY, asyncpg.PostgresError) as error:
                log.warning("heartbeat.missed", error=str(error) or type(error).__name__)
                if connection is not None:
                    connection.terminate()
                connection = None
            # Waiting in this loop's own thread: nothing else runs here.
            self._stopping.wait(self._every_s)
        if connection is not None:
            with suppress(*AWAY):
                await connection.close(timeout=2)

    async def _beat(self, connection: asyncpg.Connection) -> None:
        with self._lock:
            leases = list(self._held)
        rows = await connection.fetch(
            "select job_id, verdict from queue.beat($1, $2, $3)",
            self._worker_id, [job for job, _ in leases], [attempt for _, attempt in leases],
            timeout=10,
        )  # fmt: skip
        if self._on_beat is not None:
            self._on_beat()
        attempts = dict(leases)
        for row in rows:
            if row["job_id"] is None:
                self._on_drain()
                continue
            with self._lock:
                on_stop = self._held.pop((row["job_id"], attempts[row["job_id"]]), None)
            if on_stop is not None:
                on_stop(row["verdict"])
