"""Watching a job until it ends: the waiting half of a merge, and the truth behind server-sent events.

One task asks for all watched jobs at once whether they moved, and reads those that did, once for all their watchers: that holds
behind every pooler, through a restart of the database and without any notification.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Final
from uuid import UUID

import structlog

from edge_api.database import Database, View
from edge_api.problems import Problem

log = structlog.get_logger()

ENDED: Final = frozenset({"completed", "failed", "cancelled"})
PAUSE_S: Final = 0.4
"""Between two looks at all watched jobs."""
QUIET_S: Final = 5.0
"""After so long without a change a watcher is told that there was none."""


class _Watched:
    """A job that somebody watches, as the last look that found it moved saw it."""

    def __init__(self) -> None:
        self.watchers = 0
        self.version: str | None = ""
        self.answer: View | None = None
        """None when it is gone."""
        self.look = 0
        self.moved = asyncio.Event()

    def wake(self) -> None:
        self.moved.set()
        self.moved = asyncio.Event()


class Watches:
    """All watches of this process: bounded in number, for each client too, and ended together when the server stops."""

    def __init__(self, database: Database, *, limit: int, per_client: int) -> None:
        self._database = database
        self._limit, self._per_client = limit, per_client
        self._clients: Counter[str] = Counter()
        self._jobs: dict[UUID, _Watched] = {}
        self._looking: asyncio.Task[None] | None = None
        self._looks = 0
        """How many looks have begun."""
        self._closing = False

    def close(self) -> None:
        """End all watches: merges answer 202, streams end."""
        self._closing = True
        for watched in self._jobs.values():
            watched.wake()

    async def views(self, job: UUID, user: UUID | None, client: str) -> AsyncGenerator[View | None]:
        """Yield the job as it is and at every change, and None when nothing has changed for a while; ends with the job or the server.

        Raises Problem: not_found (also later, when the job is purged), too_many_streams, database_unavailable (first view only).
        """
        mine = self._clients[client] >= self._per_client
        if mine or self._clients.total() >= self._limit:
            raise Problem(
                "too_many_streams",
                f"Too many streams are open {'from your address' if mine else 'here'} already; "
                "close some, or ask GET /api/v1/job/{job_id} now and then instead",
                headers={"Retry-After": "10"},
            )
        self._clients[client] += 1
        watched = self._jobs.setdefault(job, _Watched())
        watched.watchers += 1
        try:
            moved = watched.moved
            view = _parsed(await self._database.view(job, user))
            seen = self._looks  # looks that begin from now on see what is later than this
            if self._looking is None:
                self._looking = asyncio.create_task(self._look())
            while not self._closing:
                if view is None:
                    raise not_found()
                yield view
                if view["status"] in ENDED:
                    return
                while not (moved.is_set() or self._closing):
                    try:
                        async with asyncio.timeout(QUIET_S):
                            await moved.wait()
                    except TimeoutError:
                        yield None
                moved = watched.moved
                if watched.look > seen:
                    view = watched.answer
                else:
                    with suppress(Problem):
                        view = _parsed(await self._database.view(job, user))
                        seen = self._looks
        finally:
            self._clients[client] -= 1
            self._clients += Counter()  # forgets whoever has none
            watched.watchers -= 1
            if not watched.watchers and self._jobs.get(job) is watched:
                del self._jobs[job]

    async def _look(self) -> None:
        """Until nothing is watched any more. A database that is away for a moment ends no watch."""
        try:
            while self._jobs and not self._closing:
                await asyncio.sleep(PAUSE_S)
                self._looks += 1
                look, versions = self._looks, {job: watched.version for job, watched in self._jobs.items()}
                try:
                    moved = await self._database.moved(versions)
                except Problem:
                    continue
                except Exception as error:  # noqa: BLE001 -- whatever it is, the next look may go well
                    log.error("watches.broke", error=type(error).__name__)  # noqa: TRY400
                    continue
                for job, version, answer in moved:
                    if watched := self._jobs.get(job):
                        watched.version, watched.answer, watched.look = version, answer, look
                        watched.wake()
        finally:
            self._looking = None

    async def end(self, job: UUID, user: UUID | None, client: str, wait_s: float) -> View | None:
        """The job once it has ended, None when that takes longer than `wait_s` or nobody can watch now. One that is deleted was cancelled."""
        try:
            async with asyncio.timeout(wait_s), aclosing(self.views(job, user, client)) as views:
                async for view in views:
                    if view is not None and view["status"] in ENDED:
                        return view
        except TimeoutError:
            pass
        except Problem as problem:
            if problem.code == "not_found":
                return {"job_id": str(job), "status": "cancelled"}
        return None


def _parsed(text: str | None) -> View | None:
    return None if text is None else json.loads(text)


def not_found() -> Problem:
    """One answer for both, so that nobody learns which ids exist."""
    return Problem("not_found", "There is no job with this id, or it belongs to somebody who must sign in to see it")
