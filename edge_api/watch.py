"""Watching a job until it ends: the waiting half of a merge, and the truth behind server-sent events.

The job is read again and again, by primary key: that holds behind every pooler, through a restart of the database and
without any notification. The pause grows while nothing happens.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any, Final
from uuid import UUID

from edge_api.database import Database
from edge_api.problems import Problem

View = dict[str, Any]
"""A job as GET /api/v1/job/{job_id} answers it."""

ENDED: Final = frozenset({"completed", "failed", "cancelled"})
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 2.0
MAX_WATCHES: Final = 1000


class Watches:
    """All watches of this process: bounded in number, and ended together when the server stops."""

    def __init__(self, database: Database, *, limit: int = MAX_WATCHES) -> None:
        self._database = database
        self._limit = limit
        self._open = 0
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End all watches: merges answer 202, streams end."""
        self._closing.set()

    async def views(self, job: UUID, user: UUID | None) -> AsyncGenerator[View | None]:
        """Yield the job as it is and at every change, and None after each pause without one; ends with the job or the server.

        Raises Problem: not_found (also later, when the job is purged), too_many_streams, database_unavailable (first view only).
        """
        if self._open >= self._limit:
            raise Problem(
                "too_many_streams",
                "Too many clients wait here already; ask GET /api/v1/job/{job_id} now and then instead",
                headers={"Retry-After": "10"},
            )
        self._open += 1
        try:
            seen: str | None = None
            pause_s = FIRST_PAUSE_S
            while not self._closing.is_set():
                text = await self._look(job, user, seen)
                if text == seen:
                    yield None
                else:
                    seen, pause_s = text, FIRST_PAUSE_S
                    view: View = json.loads(text)
                    yield view
                    if view["status"] in ENDED:
                        return
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._closing.wait()
                pause_s = min(pause_s * 1.3, LONGEST_PAUSE_S)
        finally:
            self._open -= 1

    async def _look(self, job: UUID, user: UUID | None, seen: str | None) -> str:
        try:
            text = await self._database.view(job, user)
        except Problem:
            if seen is None:
                raise
            return seen  # the database is away for a moment: the watch outlives it
        if text is None:
            raise not_found()
        return text

    async def end(self, job: UUID, user: UUID | None, wait_s: float) -> View | None:
        """The job once it has ended, None when that takes longer than `wait_s` or nobody can watch now."""
        with suppress(TimeoutError, Problem):
            async with asyncio.timeout(wait_s), aclosing(self.views(job, user)) as views:
                async for view in views:
                    if view is not None and view["status"] in ENDED:
                        return view
        return None


def not_found() -> Problem:
    """One answer for both, so that nobody learns which ids exist."""
    return Problem("not_found", "There is no job with this id, or it belongs to somebody who must sign in to see it")
