"""Postgres, kept alive: it is no child of ours (pg_ctl starts it), so it is watched by its pid file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from rhythmai.errors import NoStack
from rhythmai.local.postgres import Postgres, PostgresFailed

LOOK_S: Final = 1.0


class KeptPostgres:
    """A server that starts again when it ended by itself; `echo("postgres", line)` is told."""

    def __init__(self, server: Postgres, echo: Callable[[str, str], None] | None) -> None:
        self._server = server
        self._echo = echo
        self._keeper: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Of the database `postgres`, as superuser."""
        return self._server.url()

    async def start(self) -> None:
        """Raises NoStack with what Postgres said."""
        try:
            await _unhurried(self._server.start)
        except PostgresFailed as error:
            raise NoStack(str(error)) from None
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Also a server that somebody else started over the same data. Raises NoStack."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        try:
            await asyncio.to_thread(self._server.stop)
        except PostgresFailed as error:
            raise NoStack(str(error)) from None

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if self._server.pid is None:
                self._tell("ended by itself; it starts again")
                try:
                    await _unhurried(self._server.start)
                except PostgresFailed as error:
                    self._tell(str(error))

    def _tell(self, line: str) -> None:
        if self._echo:
            self._echo("postgres", line)


async def _unhurried(call: Callable[[], None]) -> None:
    """Run a blocking call in a thread; when cancelled, still wait for its end, so that nothing starts behind our back."""
    thread = asyncio.create_task(asyncio.to_thread(call))
    try:
        await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait([thread])
        raise
