"""Listening to a film for its job: beside a job that makes music, or before a merge. Where it fails, the job has a note."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from worker.domain import Job, Span, Speech, Stage
from worker.errors import Rejected, Unavailable
from worker.ports import Ear, Queue
from worker.timings import Timings

_MARGIN_S = 2.0
"""So long after a word began it is known."""


@dataclass(slots=True, kw_only=True)
class Listening:
    """Hears the film while the job goes on, in nobody's way; leaving the context stops it."""

    job: Job
    file: Path
    queue: Queue
    ear: Ear
    timings: Timings
    patience: timedelta
    known: Speech | None = None
    """What another job has heard of the film to its end: it is not listened to again."""
    spans: tuple[Span, ...] = ()
    """Where somebody speaks in what is set to music, as soon as that has been heard."""
    _task: asyncio.Task[None] | None = None
    _enough: asyncio.Event = field(default_factory=asyncio.Event)
    """What is set to music was heard, or cannot be."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def end(self) -> None:
        """Wait for what is set to music, and a while for the rest of a long film. Raises what the queue raises."""
        assert self._task is not None
        await self._enough.wait()
        await asyncio.wait({self._task}, timeout=self.patience.total_seconds())
        if self._task.done():
            self._task.result()

    async def _listen(self) -> None:
        asked_s = self.job.options.duration_s
        try:
            if self.known is not None:
                self.spans = self.known.spans
                await self.queue.put_speech(self.job.lease, self.known)
                return
            async with aclosing(_told(self.job, self.file, self.timings, self.queue, self.ear)) as hearing:
                async for speech in hearing:
                    if speech.whole or (asked_s is not None and speech.heard_s >= asked_s + _MARGIN_S):
                        self.spans = speech.spans
                        self._enough.set()
        except (Rejected, Unavailable) as error:
            await self.queue.note(self.job.lease, _unheard(error))
        finally:
            self._enough.set()


async def speech_of(job: Job, file: Path, timings: Timings, queue: Queue, ear: Ear) -> Sequence[Span]:
    """Where somebody speaks in the film: as another job of it knows, or heard now, with progress where that takes long."""
    if (known := await queue.known_speech(job.lease)) is not None:
        await queue.put_speech(job.lease, known)
        return known.spans
    spans: Sequence[Span] = ()
    try:
        async with aclosing(_told(job, file, timings, queue, ear)) as hearing:
            async for speech in hearing:
                if not speech.heard_s:  # only now: progress goes by how far the film was heard
                    await queue.set_stage(job.lease, Stage.HEARING)
                spans = speech.spans
    except (Rejected, Unavailable) as error:
        await queue.note(job.lease, _unheard(error))
        return ()
    return spans


async def _told(job: Job, file: Path, timings: Timings, queue: Queue, ear: Ear) -> AsyncGenerator[Speech]:
    """What is heard, once the database knows it; of a long film from its beginning on, so that its job has progress."""
    with timings.of("hear"):
        async with aclosing(ear.hear(file)) as hearing:
            async for speech in hearing:
                if speech.whole or speech.long:
                    await queue.put_speech(job.lease, speech)
                yield speech


def _unheard(error: Exception) -> str:
    return f"Where somebody speaks in the video could not be found out ({error})."
