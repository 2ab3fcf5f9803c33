"""One resumable upload at Storage, by TUS 1.0.0 in Supabase's signed form.

It is four requests, so aiohttp speaks it itself: aiotus has no DELETE, tells no progress, and drops what a refusal says.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final
from urllib.parse import urljoin

import aiohttp

from rhythmai.errors import Refused, Unreachable
from rhythmai.transfer import CHUNK, may_pass, refusal

STALL_S: Final = 120.0
"""A connection over which nothing goes for so long is a broken one."""


class ResumableUpload:
    """What the API's `resumable` describes. All calls raise Refused or Unreachable, with what Storage said."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        resumable: Mapping[str, Any],
        location: str = "",
        stall_s: float = STALL_S,
    ) -> None:
        self._http = http
        self._stall_s = stall_s
        self._endpoint = resumable["endpoint"]
        self._headers = resumable["headers"]
        self._metadata = resumable["metadata"]
        self.chunk_size = int(resumable["chunk_size"])
        self.location = location
        """Where it is, once it was created."""

    async def create(self, size: int) -> None:
        pairs = (f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in self._metadata.items())
        headers = {"Upload-Length": str(size), "Upload-Metadata": ",".join(pairs)}
        answer = await self._ask("POST", self._endpoint, headers)
        if "Location" not in answer:
            raise Unreachable("What answered is not Storage: it says no Location")
        self.location = urljoin(self._endpoint, answer["Location"])
        if self._endpoint.startswith("https:"):  # a proxy that ends TLS may not have told Storage of it
            self.location = self.location.replace("http:", "https:", 1)

    async def offset(self) -> int:
        """How many bytes are there."""
        return _offset(await self._ask("HEAD", self.location))

    async def send(self, offset: int, chunk: bytes, sent: Callable[[int], object]) -> int:
        """Send the bytes from `offset` on; returns how many are there then. `sent` is told meanwhile."""
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(self._stall_s) as patience:

                async def pieces() -> AsyncIterator[bytes]:
                    for start in range(0, len(chunk), CHUNK):
                        yield chunk[start : start + CHUNK]
                        patience.reschedule(clock() + self._stall_s)
                        sent(offset + min(start + CHUNK, len(chunk)))

                headers = {
                    "Upload-Offset": str(offset),
                    "Content-Type": "application/offset+octet-stream",
                    "Content-Length": str(len(chunk)),
                }
                return _offset(await self._ask("PATCH", self.location, headers, pieces()))
        except TimeoutError:
            raise Unreachable(f"Storage has taken nothing for {self._stall_s:.0f} s") from None

    async def delete(self) -> None:
        await self._ask("DELETE", self.location)

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, data: AsyncIterator[bytes] | None = None
    ) -> Mapping[str, str]:
        headers = {"Tus-Resumable": "1.0.0", **self._headers, **(headers or {})}
        try:
            async with self._http.request(method, url, headers=headers, data=data) as response:
                if response.status < 400:
                    return response.headers
                status, said = await refusal(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"Storage does not answer: {error or type(error).__name__}") from None
        if may_pass(status):
            raise Unreachable(f"Storage is in trouble ({status})")
        raise Refused(status, "upload_refused", said)


def _offset(headers: Mapping[str, str]) -> int:
    try:
        return int(headers["Upload-Offset"])
    except (KeyError, ValueError):
        raise Unreachable("What answered is not Storage: it says no Upload-Offset") from None
