"""What a decoder's child tells while it still works: an answer first, then frames. Nothing that it announces is believed.

It tells through a pipe, which holds it up while nobody listens and comes to its end with the child.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate, pairwise
from struct import Struct
from typing import IO, Any, TypeVar

import numpy as np
from pydantic import ValidationError

from worker.domain import Frames, Strip, View
from worker.errors import Rejected, Unavailable, WorkerError
from worker.pipeline.look.answers import Answer, Refusal
from worker.pipeline.look.child import Ended

STRETCH_S = 2
"""Of film, that an engine takes at once."""
WAITING_BYTES = 256 * 10**6
"""Of one film, that wait for the engine; a child that is further ahead stops."""
_STREAM_BYTES = 2**20

AnswerT = TypeVar("AnswerT", bound=Answer)


def nonsense() -> Rejected:
    return Rejected(
        "The video cannot be read: what was found in it makes no sense; export it again", code="broken_video"
    )


@dataclass(frozen=True, slots=True)
class Teller:
    """A child at work. All methods raise what it ends with before it has told everything, and Unavailable (timeout) when it falls silent."""

    stream: asyncio.StreamReader
    child: asyncio.Task[Ended]
    patience: timedelta
    most_bytes: int

    async def answer(self, expect: type[AnswerT]) -> tuple[AnswerT, list[bytes]]:
        """A line and the JPEGs that it announces. Raises Rejected: a refusal in the child's words, or nonsense."""
        line = await self._heard(self.stream.readuntil(b"\n"))
        try:
            answer = expect.model_validate_json(line)
        except ValidationError:
            raise _refusal(line) from None
        ends = list(accumulate((length for _, length in answer.stills), initial=0))
        if ends[-1] > self.most_bytes:
            raise nonsense()
        jpegs = await self._heard(self.stream.readexactly(ends[-1]))
        return answer, [jpegs[start:end] for start, end in pairwise(ends)]

    async def frames(self, views: Sequence[View], duration_s: float) -> AsyncGenerator[Frames]:
        """The frames, stretch by stretch; the child goes on while they are watched."""
        stretch_bytes = sum(STRETCH_S * view.fps * view.side**2 * 3 for view in views)
        # One is being filled, one is in the engine's hands.
        waiting: asyncio.Queue[Frames | WorkerError | None] = asyncio.Queue(max(1, WAITING_BYTES // stretch_bytes - 2))
        room = [int(view.fps * duration_s) + 2 for view in views]

        async def listen() -> None:
            try:
                while True:
                    frames, more = await self._stretch(views, room)
                    await waiting.put(frames)
                    if not more:
                        break
                await self.answer(Answer)
                await waiting.put(None)
            except WorkerError as error:
                await waiting.put(error)

        listening = asyncio.create_task(listen())
        try:
            while (heard := await waiting.get()) is not None:
                if isinstance(heard, WorkerError):
                    raise heard
                yield heard
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _stretch(self, views: Sequence[View], room: list[int]) -> tuple[Frames, bool]:
        """The next frames, and whether there are more; `room`: how many slots of each view are left."""
        head = Struct(f"<{len(views)}I")
        pictures = [np.empty((STRETCH_S * view.fps, 3, view.side, view.side), np.uint8) for view in views]
        repeats: list[list[int]] = [[] for _ in views]
        more = True
        while more and all(len(told) < len(made) for told, made in zip(repeats, pictures, strict=True)):
            slots = head.unpack(await self._heard(self.stream.readexactly(head.size)))
            more = any(slots)
            for i, count in enumerate(slots):
                room[i] -= count
                if room[i] < 0:
                    raise nonsense()
                if count:
                    place = pictures[i][len(repeats[i])]
                    place.reshape(-1)[:] = np.frombuffer(
                        await self._heard(self.stream.readexactly(place.size)), np.uint8
                    )
                    repeats[i].append(count)
        strips = zip(pictures, repeats, strict=True)
        return tuple(Strip(pictures=made[: len(told)], repeats=np.array(told, np.int64)) for made, told in strips), more

    async def _heard(self, reading: Coroutine[Any, Any, bytes]) -> bytes:
        try:
            async with asyncio.timeout(self.patience.total_seconds()):
                return await reading
        except TimeoutError:
            raise Unavailable(
                f"Reading the file: nothing came for {self.patience.total_seconds():.0f} s; try again later",
                code="timeout",
            ) from None
        except asyncio.LimitOverrunError:
            raise nonsense() from None
        except asyncio.IncompleteReadError:
            ended = await self.child
        if ended.code == 0:
            raise nonsense()
        why = ended.complaints.strip().rpartition("\n")[2]
        raise Unavailable(f"The decoder failed ({why}); try again later", code="decoder_failed")


@asynccontextmanager
async def told(
    child: Callable[[IO[bytes]], Coroutine[Any, Any, Ended]], *, patience: timedelta, most_bytes: int
) -> AsyncIterator[Teller]:
    """Start `child` with the pipe that it is to tell through, and listen to it; in the end it is killed if it still lives."""
    stream = asyncio.StreamReader(min(most_bytes, _STREAM_BYTES))
    ear, mouth = (os.fdopen(end, mode, buffering=0) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), ear)
    running = asyncio.create_task(child(mouth))
    running.add_done_callback(lambda _: mouth.close())  # so that the end comes when the child is over
    try:
        yield Teller(stream, running, patience, most_bytes)
    finally:
        pipe.close()  # before anything is waited for: whoever is cancelled in here leaves nothing open
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _refusal(line: bytes) -> Rejected:
    try:
        refusal = Refusal.model_validate_json(line)
    except ValidationError:
        return nonsense()
    return Rejected(refusal.message, code=refusal.code)
