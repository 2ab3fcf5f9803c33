"""A file on its way to Storage: in one piece, or in pieces that outlive the connection and the process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import aiohttp

from rhythmai.errors import BadInput, Refused, RhythmAIError, Unreachable
from rhythmai.resumable import ResumableUpload
from rhythmai.transfer import Progress, send
from rhythmai.unfinished import Begun, Unfinished

LARGE: Final = 6 * 10**6
"""What has more bytes goes in pieces."""
PAUSES_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0)
"""How long a broken connection may stay away, try by try; every piece that arrives begins this anew."""
FAREWELL_S: Final = 10.0
Ask = Callable[[], Awaitable[dict[str, Any]]]
Say = Callable[[str], object]


class _LapsedError(Exception):
    """The address holds no more."""


class Delivery:
    """Brings one file of `size` bytes; `ask` is POST /api/v1/upload, `say` is told in a sentence what went otherwise than planned."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        path: Path,
        size: int,
        ask: Ask,
        progress: Progress | None = None,
        say: Say | None = None,
        pauses_s: Sequence[float] = PAUSES_S,
    ) -> None:
        self._http = http
        self._path = path
        self._size = size
        self._ask = ask
        self._progress = progress
        self._say = say or (lambda _: None)
        self._pauses_s = pauses_s

    async def run(self, unfinished: Unfinished) -> str:
        """The URL to submit. Raises Refused, Unreachable, BadInput (the file changed under our hands)."""
        for _ in range(2):  # an address holds for hours: who fails in one of them from its begin would in the next
            begun = unfinished.recall() if self._size > LARGE else None
            if begun is None:
                ticket = await self._ask()
                begun = await self._begin(ticket) if self._size > LARGE else None
                if begun is None:
                    await send(self._http, ticket, self._path, self._size, self._progress)
                    return str(ticket["video_url"])
                unfinished.keep(begun)
            upload = ResumableUpload(self._http, begun.ticket["resumable"], begun.location)
            try:
                await self._bring(upload, begun)
            except _LapsedError as lapsed:
                self._say(f"The upload of {self._path} starts afresh: {lapsed}")
            except asyncio.CancelledError:
                await self._take_back(upload)
                unfinished.keep(None)
                raise
            except Refused:
                unfinished.keep(None)
                raise
            else:
                unfinished.keep(None)
                return str(begun.ticket["video_url"])
            unfinished.keep(None)
        raise Unreachable(f"{self._path} did not arrive while its address held: it is too large for this connection")

    async def _begin(self, ticket: dict[str, Any]) -> Begun | None:
        """None where Storage takes the file in one piece only, which projects do whose gateway wants a key here."""
        upload = ResumableUpload(self._http, ticket["resumable"])
        try:
            await upload.create(self._size)
        except Refused as error:
            if error.status == 413:
                raise Refused(413, error.code, f"Storage takes no file of the size of {self._path}: {error}") from None
            self._say(f"{self._path} goes in one piece, because Storage refused to take it in several: {error}")
            return None
        return Begun(ticket=ticket, location=upload.location)

    async def _bring(self, upload: ResumableUpload, begun: Begun) -> None:
        offset, pauses = 0, iter(self._pauses_s)
        while True:
            try:
                there = await self._offset(upload, begun)
                if there > offset:
                    self._say(f"The upload of {self._path} goes on at {there / self._size:.0%}")
                offset = there
                while offset < self._size:
                    if begun.has_expired:
                        raise _LapsedError("its address has expired")
                    chunk = await asyncio.to_thread(self._read, offset, upload.chunk_size)
                    offset = await upload.send(offset, chunk, self._sent)
                    pauses = iter(self._pauses_s)
            except (Unreachable, Refused) as trouble:
                if isinstance(trouble, Refused) and trouble.status == 413:
                    raise
                # A refused piece may be one whose answer was lost: what Storage has is asked before all else.
                if (pause_s := next(pauses, None)) is None:
                    raise Unreachable(
                        f"The upload of {self._path} broke off at {offset / self._size:.0%}: {trouble}",
                        "Upload it again: it goes on from there",
                    ) from None
                await asyncio.sleep(pause_s)
            else:
                return

    async def _offset(self, upload: ResumableUpload, begun: Begun) -> int:
        if begun.has_expired:
            raise _LapsedError("its address has expired")
        try:
            return await upload.offset()
        except Refused as error:
            raise _LapsedError(f"Storage has nothing of it any more ({error.status})") from None

    async def _take_back(self, upload: ResumableUpload) -> None:
        with suppress(RhythmAIError, TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await upload.delete()
                self._say(f"The upload of {self._path} is cancelled, and what Storage had of it is deleted")

    def _sent(self, there: int) -> None:
        if self._progress:
            self._progress(there, self._size)

    def _read(self, offset: int, size: int) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                chunk = file.read(min(size, self._size - offset))
        except OSError as error:
            raise BadInput(f"{self._path} cannot be read any more: {error.strerror}") from None
        if not chunk:
            raise BadInput(f"{self._path} became shorter while it was uploaded: upload it again")
        return chunk
