"""Reads an upload out of a request: a multipart form, as the clients send files, or the plain body."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import BodyPartReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from supabase_standin.storage.failures import bad_request
from supabase_standin.storage.files import Received

HEADER: Final = re.compile(r"[\x20-\x7e]{1,1024}")
"""What an upload says about itself becomes headers of later answers: printable ASCII, so that it ends nothing and begins nothing."""
MIMETYPE: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+/[\w!#$%&'*+.^`|~-]+( *;.*)?", re.ASCII)

Receive = Callable[[str, AsyncIterator[bytes]], Awaitable[Received]]
"""Takes the content type and the bytes; refuses before the bytes are read when the type is not allowed."""


@dataclass(slots=True, kw_only=True)
class Upload:
    """What came."""

    received: Received
    mimetype: str
    cache_control: str
    user_metadata: dict[str, Any] | None = None


async def read_upload(request: web.Request, receive: Receive, discard: Callable[[str], None]) -> Upload:
    """Stream the file through `receive`; a form that turns out to be broken after it is discarded again. Raises StorageFailure."""
    if request.content_type.startswith("multipart/"):
        try:
            return await _read_form(request, receive, discard)
        except (ValueError, HttpProcessingError) as error:
            raise bad_request(f"the form is broken: {error}") from error
    mimetype = mimetype_of(request.headers)
    cache_control = _header(hdrs.CACHE_CONTROL, request.headers.get(hdrs.CACHE_CONTROL, "no-cache"))
    metadata = None
    if header := request.headers.get("x-metadata"):
        try:
            metadata = user_metadata(base64.b64decode(header).decode())
        except ValueError as error:
            raise bad_request(f"x-metadata must be base64 of a JSON object: {error}") from error
    received = await receive(mimetype, request.content.iter_any())
    return Upload(received=received, mimetype=mimetype, cache_control=cache_control, user_metadata=metadata)


async def _read_form(request: web.Request, receive: Receive, discard: Callable[[str], None]) -> Upload:
    upload: Upload | None = None
    fields: dict[str, str] = {}
    with ExitStack() as undo:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise bad_request("nested multipart bodies are not supported")
            if part.filename is None and part.name:
                fields[part.name] = (await part.read(decode=True)).decode()
            elif upload is None:
                mimetype = mimetype_of(part.headers)
                received = await receive(mimetype, _pieces(part))
                undo.callback(discard, received.version)
                upload = Upload(received=received, mimetype=mimetype, cache_control="no-cache")
        if upload is None:
            raise bad_request("the form holds no file")
        if "cacheControl" in fields:
            upload.cache_control = _header("cacheControl", f"max-age={fields['cacheControl']}")
        if "metadata" in fields:
            upload.user_metadata = user_metadata(fields["metadata"])
        undo.pop_all()
    return upload


def _header(name: str, value: str) -> str:
    if not HEADER.fullmatch(value):
        raise bad_request(f"{name} must be printable ASCII, not {value!r:.80}")
    return value


def mimetype_of(headers: Mapping[str, str], name: str = hdrs.CONTENT_TYPE) -> str:
    """Raises StorageFailure."""
    mimetype = headers.get(name, "application/octet-stream")
    if not HEADER.fullmatch(mimetype) or not MIMETYPE.fullmatch(mimetype):
        raise bad_request(f"a content type is a type and a subtype in printable ASCII, not {mimetype!r:.80}")
    return mimetype


async def _pieces(part: BodyPartReader) -> AsyncIterator[bytes]:
    while piece := await part.read_chunk(1 << 16):
        yield piece


def user_metadata(text: str) -> dict[str, Any]:
    """Raises StorageFailure, ValueError."""
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise bad_request("metadata is nested too deeply") from error
    if not isinstance(value, dict):
        raise bad_request("metadata must be a JSON object")
    return value
