"""Conditions and ranges of a download, as RFC 9110 has them.

aiohttp sends files, ranges of them, and 304. What it leaves open is closed here: If-Range with an entity tag, ranges that
are to be ignored, and refusals that say why.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from aiohttp import ETag, hdrs, web

from supabase_standin.storage.failures import bad_range, precondition_failed
from supabase_standin.storage.files import etag_of

RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)


class ServedFile(web.FileResponse):
    """The file, or the range of it that was asked for in a way that counts. Raises StorageFailure: 412 or 416."""

    def __init__(self, request: web.Request, path: Path, headers: dict[str, str]) -> None:
        super().__init__(path, headers=headers)
        etag, size, modified = etag_of(path), path.stat().st_size, path.stat().st_mtime
        if _failed(request, etag, modified):
            raise precondition_failed()
        self._ranged = _asks_for_this(request, etag) and _range_counts(request.headers.get(hdrs.RANGE, ""), size)

    async def prepare(self, request: Any) -> Any:
        if not self._ranged:
            headers = request.headers.copy()
            headers.popall(hdrs.RANGE, None)
            request = request.clone(headers=headers)
        return await super().prepare(request)


def _failed(request: web.Request, etag: str, modified: float) -> bool:
    if request.if_match is not None:
        return not _names(request.if_match, etag, weak=False)
    since = request.if_unmodified_since
    return since is not None and modified > since.timestamp()


def _asks_for_this(request: web.Request, etag: str) -> bool:
    """Whether a range would be one of the version that the client knows: ranges of two versions make no file."""
    if request.method != hdrs.METH_GET or _names(request.if_none_match or (), etag, weak=True):
        return False
    tag = request.headers.get(hdrs.IF_RANGE)
    return tag in (None, etag) or request.if_range is not None  # aiohttp compares dates


def _range_counts(text: str, size: int) -> bool:
    """Whether it is one range of bytes; anything else is ignored. Raises StorageFailure when none of it is there."""
    found = RANGE.fullmatch(text)
    if not found or found[0].endswith("=-"):
        return False
    first, last = (int(number) if number else None for number in found.groups())
    if first is not None and last is not None and last < first:
        return False
    if size == 0 or (last == 0 if first is None else first >= size):
        raise bad_range(size)
    return True


def _names(tags: tuple[ETag, ...], etag: str, *, weak: bool) -> bool:
    """Whether one of the header's tags is this one; a weak one counts only where `weak` says so."""
    return any(tag.value == "*" or (f'"{tag.value}"' == etag and (weak or not tag.is_weak)) for tag in tags)
