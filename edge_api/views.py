"""Looking at jobs: who asks while the database answers others is asked for together with all who do.

Whoever asks alone is asked for at once; a crowd costs one statement instead of many. The answer of a job that runs or has ended is
remembered with its version: the database is asked whether it still holds, for this caller, and says it anew only where not.
Progress moves with time, and is told each time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

AT_ONCE: Final = 2
"""Questions under way: the next one is asked while the last one is told."""
MOST: Final = 64
"""Jobs in one question, so that nobody waits for many."""

Asked = tuple[UUID, UUID | None]
"""A job, and for whom."""
Answer = tuple[str, str, str]
"""The job's version, "" until it has a stage or has ended; its progress, "" unless it is in a stage; and the rest of it, "" where this
version was seen. Both are JSON objects, as text."""
Ask = Callable[[Sequence[Asked], Sequence[str]], Awaitable[Sequence[Answer | None]]]
"""Asks for jobs of which these versions were seen, "" for none; answers None of one that is not there for its caller."""
REMEMBERED: Final = 1000
LONGEST: Final = 16_000
"""Characters of an answer that is remembered: at most 16 MB are."""
NOTHING: Final = ("", "")
"""Version and text of a job that nothing is remembered of."""


class Views:
    """`ask` answers for each in the order asked; what it raises, all of that question are told."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._waiting: list[tuple[Asked, asyncio.Future[str | None]]] = []
        self._asking: set[asyncio.Task[None] | None] = set()
        self._known: OrderedDict[UUID, tuple[str, str]] = OrderedDict()

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
            seen = [self._known.get(job, NOTHING) for (job, _), _ in some]
            try:
                answers = await self._ask([asked for asked, _ in some], [version for version, _ in seen])
            except Exception as error:  # noqa: BLE001 -- theirs to handle, each for itself
                for _, answer in some:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for ((job, _), waiting), told, known in zip(some, answers, seen, strict=True):
                    text = None if told is None else self._text(job, told, known[1])
                    if not waiting.done():  # a client who went away
                        waiting.set_result(text)
        # Now: whoever comes before a callback of this task would wait for a question that nobody asks.
        self._asking.discard(asyncio.current_task())

    def _text(self, job: UUID, told: Answer, known: str) -> str:
        version, progress, text = told
        text = text or known
        if version and len(text) <= LONGEST:
            self._known[job] = version, text
            self._known.move_to_end(job)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return f"{text[:-1]}, {progress[1:]}" if progress else text
