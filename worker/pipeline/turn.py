"""Whose turn it is at the engine."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from worker.errors import Yielded


class Turn:
    """One job at a time has it: first those that are ready to compose, then those whose film is to be watched, each in order."""

    def __init__(self, patience: timedelta = timedelta(minutes=15)) -> None:
        self._patience_s = patience.total_seconds()
        self._free = True
        self._composing: deque[asyncio.Future[None]] = deque()
        self._watching: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def taken(self, *, composing: bool) -> AsyncIterator[None]:
        """Wait for the turn, and keep it for a while. Raises Yielded where others have it for so long that the job had better begin anew."""
        if self._free:
            self._free = False
        else:
            mine = asyncio.get_running_loop().create_future()
            line = self._composing if composing else self._watching
            line.append(mine)
            try:
                async with asyncio.timeout(self._patience_s):
                    await mine
            except (asyncio.CancelledError, TimeoutError) as error:
                if not mine.cancelled():  # it was given, and nobody is there to take it
                    self._pass_on()
                if isinstance(error, TimeoutError):
                    raise Yielded("the engine works for others for long") from None
                raise
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        for line in (self._composing, self._watching):
            while line:
                if not (following := line.popleft()).done():
                    following.set_result(None)
                    return
        self._free = True
