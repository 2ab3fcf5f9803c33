"""The heartbeat: its own thread, its own event loop, its own connection, so that busy code never looks like death."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Literal
from uuid import UUID

import asyncpg
import structlog

from rhythmai.project.dsn import connect_arguments
from worker.database import APPLICATION, AWAY
from worker.domain import Lease, Verdict

log = structlog.get_logger()
Order = Literal["drain", "gone", "stop"]
"""To the worker itself: end in good order, or register anew because the database knows you no more. `stop` is a signal's
drain, which hands back at once when it comes again; the database's is said with every beat."""


class Heartbeat:
    """Beats for a worker until stopped, more rarely while it holds nothing; tells the holders of leases what to stop, and the worker when it is to end (`on_order`).

    Callbacks run in the heartbeat's thread: they must be quick and thread-safe. A beat that fails is tried again at the
    next one; whether a lease was lost meanwhile is the database's to say, and every write is fenced.
    """

    def __init__(
        self,
        dsn: str,
        worker_id: int,
        *,
        every: timedelta,
        idle_every: timedelta,
        on_order: Callable[[Order], None],
        on_beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._dsn = dsn
        self._worker_id = worker_id
        self._every_s = every.total_seconds()
        self._idle_s = idle_every.total_seconds()
        self._on_order = on_order
        self._on_beat = on_beat
        self._held: dict[tuple[UUID, int], Callable[[Verdict], None] | None] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._roused = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._beat_until_stopped()), name="heartbeat", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; blocks until it has ended (a beat in flight is waited for, 5 s at most)."""
        self._stopping.set()
        self._roused.set()
        self._thread.join(5)

    def hold(self, lease: Lease, on_stop: Callable[[Verdict], None]) -> None:
        """Watch a lease until `drop`: `on_stop` is called once when the user cancelled the job or the lease was lost.

        What the worker holds in the database but not here is handed back by the beat: hold it until its end is written.
        """
        with self._lock:
            if not self._held:
                self._roused.set()
            self._held[lease.job_id, lease.attempt] = on_stop

    def drop(self, lease: Lease) -> None:
        with self._lock:
            self._held.pop((lease.job_id, lease.attempt), None)

    async def _beat_until_stopped(self) -> None:
        connection: asyncpg.Connection | None = None
        while not self._stopping.is_set():
            self._roused.clear()
            pause_s = self._every_s
            try:
                if connection is None or connection.is_closed():
                    connection = await asyncpg.connect(timeout=10, **connect_arguments(self._dsn, APPLICATION))
                if not await self._beat(connection):
                    pause_s = self._idle_s
            except Exception as error:
                known = isinstance(error, (*AWAY, asyncpg.PostgresError))
                log.warning("heartbeat.missed", error=str(error) or type(error).__name__, exc_info=not known)
                if connection is not None:
                    connection.terminate()
                connection = None
            # Waiting in this loop's own thread: nothing else runs here.
            if not self._stopping.is_set():
                self._roused.wait(pause_s)
        if connection is not None:
            with suppress(*AWAY):
                await connection.close(timeout=2)

    async def _beat(self, connection: asyncpg.Connection) -> bool:
        """Answers whether leases are held."""
        with self._lock:
            leases = list(self._held)
        rows = await connection.fetch(
            "select job_id, attempt, verdict from queue.beat($1, $2, $3)",
            self._worker_id, [job for job, _ in leases], [attempt for _, attempt in leases],
            timeout=10,
        )  # fmt: skip
        self._on_beat()
        for job_id, attempt, verdict in rows:
            if job_id is None:
                self._on_order(verdict)
                continue
            with self._lock:
                on_stop = self._held.get((job_id, attempt))
                if on_stop is not None:
                    self._held[job_id, attempt] = None  # told once
            if on_stop is not None:
                on_stop(verdict)
        return bool(leases)
