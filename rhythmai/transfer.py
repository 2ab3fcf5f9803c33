"""Files on their way to Storage and back."""

from __future__ import annotations

import asyncio
import json
import mimetypes
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import aiohttp

from rhythmai.errors import BadInput, Refused, Unreachable

Progress = Callable[[int, int], None]
"""Told (bytes done, bytes in all; 0 when unknown) after every chunk."""
CHUNK: Final = 256 * 2**10


def is_address(video: str) -> bool:
    """Whether a video is to be fetched, and not the path of a file. Raises BadInput: nobody can fetch from there."""
    if "://" in video and not video.lower().startswith(("http://", "https://", "storage://")):
        raise BadInput(f"{video} is no address to fetch from: give one that starts with http, or a path")
    return "://" in video


def video_type(path: Path) -> str:
    """What to call a video file's content; the name is a hint, what is in it decides. Raises BadInput: no such file, empty, or text."""
    if not path.is_file():
        raise BadInput(f"{path} is not a file: give the path of a video, or a URL that starts with http")
    with path.open("rb") as file:
        head = file.read(1024)
    if not head:
        raise BadInput(f"{path} is empty: it has no bytes")
    kind = mimetypes.guess_type(path.name)[0] or ""
    if kind.startswith("text/") and head.isascii() and b"\0" not in head:  # MPEG-TS shares its suffix with texts
        raise BadInput(f"{path} is not a video but text: give the path of a video")
    return kind if kind.startswith("video/") else "application/octet-stream"


async def send(
    http: aiohttp.ClientSession, ticket: dict[str, Any], path: Path, size: int, progress: Progress | None
) -> None:
    """Upload a file of `size` bytes with the answer of POST /api/v1/upload. Raises Refused, Unreachable."""
    # With the length said, the body is not chunked, which Storage would not take.
    headers = {**ticket.get("headers", {}), "Content-Length": str(size)}
    try:
        async with http.request(
            ticket["method"], ticket["upload_url"], data=_chunks(path, size, progress), headers=headers
        ) as response:
            if response.status >= 400:
                status, said = await refusal(response)
                if may_pass(status):
                    raise Unreachable(f"Storage is in trouble ({status}) and did not take {path}")
                raise Refused(status, "upload_refused", f"Storage refused {path}: {said}")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unreachable(f"The upload of {path} broke off: {error or type(error).__name__}") from None


async def receive(http: aiohttp.ClientSession, url: str, path: Path, progress: Progress | None) -> Path:
    """Download to `path`, which appears when it is complete. Raises Refused, Unreachable, BadInput (no such folder)."""
    part = path.with_name(path.name + ".part")
    try:
        with await asyncio.to_thread(part.open, "wb") as file:
            await pour(http, url, file, progress)
        return part.replace(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


async def pour(http: aiohttp.ClientSession, url: str, file: BinaryIO, progress: Progress | None) -> None:
    """Download into an open file. Raises Refused, Unreachable, and OSError of the file."""
    try:
        async with http.get(url) as response:
            if response.status >= 400:
                status, _ = await refusal(response)
                if may_pass(status):
                    raise Unreachable(f"{url} cannot be downloaded now ({status})")
                raise Refused(status, "download_refused", f"{url} cannot be downloaded ({status})")
            async for chunk in response.content.iter_chunked(CHUNK):
                await asyncio.to_thread(file.write, chunk)
                if progress:
                    progress(file.tell(), response.content_length or 0)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unreachable(f"The download of {url} broke off: {error or type(error).__name__}") from None


async def refusal(response: aiohttp.ClientResponse) -> tuple[int, str]:
    """What happened, and what was said. Storage calls every error a 400 and says in its JSON which one it was."""
    said = await response.text(errors="replace")
    if response.status == 400:
        with suppress(ValueError, KeyError, TypeError):
            answer = json.loads(said)
            return int(answer["statusCode"]), str(answer["message"])
    return response.status, said.strip()[:200]


def may_pass(status: int) -> bool:
    """Whether the same request may work later."""
    return status in {408, 423, 429} or status >= 500


async def _chunks(path: Path, size: int, progress: Progress | None) -> AsyncIterator[bytes]:
    sent = 0
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
            sent += len(chunk)
            if progress:
                progress(sent, size)
