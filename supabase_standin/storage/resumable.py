"""Resumable uploads: TUS 1.0.0 with creation (with the first bytes, if one likes), termination and expiration.

Whoever has a signed upload's token comes by `/upload/resumable/sign` and sends it as x-signature, everybody else without `/sign`.
Refusals are plain text under their own status, as from the library of the real server; only a bad key is refused by Storage itself.
"""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email.utils import formatdate
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

from aiohttp import hdrs, web

from supabase_standin.authentication import Identity, ProjectKeys, bearer
from supabase_standin.storage.catalog import check_key
from supabase_standin.storage.failures import StorageFailure, from_error
from supabase_standin.storage.objects import Objects
from supabase_standin.storage.signing import Signing
from supabase_standin.storage.unfinished import Announced, Unfinished, tus_failure
from supabase_standin.storage.upload import Upload, mimetype_of, user_metadata

BYTES: Final = "application/offset+octet-stream"
ABILITIES: Final = {"Tus-Version": "1.0.0", "Tus-Extension": "creation,creation-with-upload,termination,expiration"}
EXPOSED: Final = "Location, Tus-Max-Size, Upload-Expires, Upload-Length, Upload-Metadata, Upload-Offset"

unsigned: Final = partial(StorageFailure, 400, "InvalidSignature", "Missing x-signature header", "InvalidSignature")
no_length: Final = partial(tus_failure, 400, message="Upload-Length or Upload-Defer-Length header required\n")
no_offset: Final = partial(tus_failure, 403, message="Upload-Offset header required\n")


class Resumable:
    """The protocol. Whoever comes later to an upload is right: the earlier connection is one that broke."""

    def __init__(
        self, objects: Objects, signing: Signing, keys: ProjectKeys, unfinished: Unfinished, largest: int
    ) -> None:
        self._objects = objects
        self._signing = signing
        self._keys = keys
        self._unfinished = unfinished
        self._largest = largest
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._reading: dict[str, asyncio.Task[None]] = {}

    async def answer(self, request: web.Request) -> web.Response:
        """Raises BadToken."""
        is_open = request.match_info["signed"] or request.method == hdrs.METH_OPTIONS
        identity = None if is_open else self._keys.identify(bearer(request.headers))
        try:
            response = await self._answer(request, identity)
        except Exception as error:
            if request.transport is None:
                raise  # the client is gone, not the database
            failure = error if isinstance(error, StorageFailure) else from_error(error)
            response = web.Response(status=failure.status, text=str(failure))
        response.headers.update({"Tus-Resumable": "1.0.0", hdrs.ACCESS_CONTROL_EXPOSE_HEADERS: EXPOSED})
        return response

    async def _answer(self, request: web.Request, identity: Identity | None) -> web.Response:
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204, headers={**ABILITIES, "Tus-Max-Size": str(self._largest)})
        if request.headers.get("Tus-Resumable") != "1.0.0":
            raise tus_failure(412, message="Tus-Resumable Required\n")
        one = request.match_info["id"].lstrip("/")
        match request.method, bool(one):
            case hdrs.METH_POST, False:
                return await self._create(request, identity)
            case hdrs.METH_PATCH, True:
                return await self._go_on(request, identity, self._unfinished.find(one))
            case ((hdrs.METH_HEAD | hdrs.METH_DELETE), True):
                return await self._tell_or_end(request, identity, self._unfinished.find(one))
        raise tus_failure(404, message="Not found\n")

    async def _create(self, request: web.Request, identity: Identity | None) -> web.Response:
        said = request.headers.get("Upload-Metadata", "")
        metadata = _read(said)
        upload = Announced(
            version=str(uuid.uuid4()),
            bucket=metadata.get("bucketName", ""),
            name=check_key(metadata.get("objectName", "")),
            length=_number(request, "Upload-Length", no_length()),
            metadata=said,
        )
        right = await self._right(request, identity, upload)
        if upload.length > await self._objects.limit(upload.bucket, mimetype_of(metadata, "contentType")):
            raise tus_failure(413, message="Maximum size exceeded\n")
        self._unfinished.create(upload)
        headers = {"Location": f"{request.url.origin()}{request.path}/{upload.id}"}
        if upload.length == 0 or request.headers.get(hdrs.CONTENT_TYPE) == BYTES:
            headers["Upload-Offset"] = str(await self._take(request, upload, 0, right))
        return web.Response(status=201, headers={**headers, **self._expires(upload)})

    async def _go_on(self, request: web.Request, identity: Identity | None, upload: Announced) -> web.Response:
        right = await self._right(request, identity, upload)
        offset = _number(request, "Upload-Offset", no_offset())
        if request.headers.get(hdrs.CONTENT_TYPE) != BYTES:
            raise tus_failure(400, message="Invalid content-type\n")
        offset = await self._take(request, upload, offset, right)
        return web.Response(status=204, headers={"Upload-Offset": str(offset), **self._expires(upload)})

    async def _tell_or_end(self, request: web.Request, identity: Identity | None, upload: Announced) -> web.Response:
        await self._right(request, identity, upload)
        async with self._turn(upload):
            if request.method == hdrs.METH_HEAD:
                offset = str(self._unfinished.offset(upload))
                facts = {
                    "Upload-Offset": offset,
                    "Upload-Length": str(upload.length),
                    "Upload-Metadata": upload.metadata,
                }
                return web.Response(headers={hdrs.CACHE_CONTROL: "no-store", **facts})
            if not self._unfinished.waits(upload):
                raise tus_failure(400, message="Cannot terminate an already completed upload")
            self._unfinished.remove(upload)
        return web.Response(status=204)

    async def _right(
        self, request: web.Request, identity: Identity | None, upload: Announced
    ) -> tuple[str | None, bool]:
        """Whose object it becomes, and whether it may replace one. Raises StorageFailure and what Postgres says."""
        if identity is None:
            if not (token := request.headers.get("x-signature")):
                raise unsigned()
            claims = self._signing.check(token, upload.bucket, upload.name, "upload")
            return claims.get("owner"), claims.get("upsert") is True
        upsert = request.headers.get("x-upsert") == "true"
        if request.method != hdrs.METH_HEAD:
            await self._objects.may_put(identity, upload.bucket, upload.name, upsert=upsert)
        return identity.user, upsert

    async def _take(self, request: web.Request, upload: Announced, offset: int, right: tuple[str | None, bool]) -> int:
        """Receive the request's bytes, which begin at `offset`; returns where the next ones do."""
        async with self._turn(upload):
            if offset != self._unfinished.offset(upload):
                raise tus_failure(409, message="Upload-Offset conflict\n")
            if offset + (request.content_length or 0) > upload.length:
                raise tus_failure(413, message="upload's size exceeded\n")
            reading = asyncio.create_task(self._unfinished.append(upload, request.content.iter_any()))
            self._reading[upload.version] = reading
            try:
                await reading
            except asyncio.CancelledError:
                if (me := asyncio.current_task()) and me.cancelling():
                    raise
                raise tus_failure(400, message="Request aborted due to lock acquired") from None
            finally:
                del self._reading[upload.version]
            offset = self._unfinished.offset(upload)
            if offset == upload.length and self._unfinished.waits(upload):
                # A client that goes now must not leave a file without its row.
                await asyncio.shield(self._finish(upload, *right))
            return offset

    async def _finish(self, upload: Announced, owner: str | None, upsert: bool) -> None:
        metadata = _read(upload.metadata)
        seconds = metadata.get("cacheControl", "")
        whole = Upload(
            received=self._unfinished.finish(upload),
            mimetype=mimetype_of(metadata, "contentType"),
            cache_control=f"max-age={seconds}" if seconds.isascii() and seconds.isdecimal() else "no-cache",
        )
        with suppress(KeyError, ValueError, StorageFailure):
            whole.user_metadata = user_metadata(metadata["metadata"])
        try:
            await self._objects.keep(owner, upload.bucket, upload.name, whole, upsert=upsert)
        except BaseException:
            self._unfinished.remove(upload)
            raise

    @asynccontextmanager
    async def _turn(self, upload: Announced) -> AsyncIterator[None]:
        turn = self._turns.setdefault(upload.version, asyncio.Lock())
        if reading := self._reading.get(upload.version):
            reading.cancel()
        async with turn:
            yield

    def _expires(self, upload: Announced) -> dict[str, str]:
        if not self._unfinished.waits(upload):
            return {}
        return {"Upload-Expires": formatdate(self._unfinished.expires_at(upload), usegmt=True)}


def _number(request: web.Request, header: str, otherwise: StorageFailure) -> int:
    text = request.headers.get(header, "")
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise otherwise
    return int(text)


def _read(metadata: str) -> dict[str, str]:
    """Pairs of a name and base64, separated by commas. Raises StorageFailure."""
    try:
        pairs = [pair.split(maxsplit=1) for pair in metadata.split(",")]
        return {
            pair[0]: base64.b64decode(pair[1], validate=True).decode() if pair[1:] else "" for pair in pairs if pair
        }
    except ValueError as error:
        raise tus_failure(400, message="Upload-Metadata is invalid\n") from error
