"""Looking at jobs: who asks while the database answers others is asked for together with all who do.

Whoever asks alone is asked for at once; a crowd costs one statement instead of many.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

AT_ONCE: Final = 2
"""Questions under way: the next one is asked while the last one is told."""
MOST: Final = 64
"""Jobs in one question, so that nobody waits for many."""

Asked = tuple[UUID, UUID | None]
"""A job, and for whom."""
Ask = Callable[[Sequence[Asked]], Awaitable[Sequence[str | None]]]


class Views:
    """`ask` answers for each in the order asked; what it raises, all of that question are told."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._waiting: list[tuple[Asked, asyncio.Future[str | None]]] = []
        self._asking: set[asyncio.Task[None] | None] = set()

    async def of(self, job: UUID, user: UUID | None) -> str | None:
        """The job as JSON text, None when there is none for this caller. Raises what `ask` raises."""
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(((job, user), answer))
        if len(self._asking) < AT_ONCE:
            self._asking.add(asyncio.create_task(self._ask_on()))
        return await answer

    async def _ask_on(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            try:
                answers = await self._ask([asked for asked, _ in some])
            except Exception as error:  # noqa: BLE001 -- theirs to handle, each for itself
                for _, answer in some:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for (_, answer), text in zip(some, answers, strict=True):
                    if not answer.done():  # a client who went away
                        answer.set_result(text)
        # Now: whoever comes before a callback of this task would wait for a question that nobody asks.
        self._asking.discard(asyncio.current_task())
