"""Objects: uploaded, served, described, copied, moved and removed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import quote

import asyncpg
from aiohttp import hdrs, web

from supabase_standin.authentication import Identity
from supabase_standin.database import Database
from supabase_standin.storage.buckets import Buckets
from supabase_standin.storage.catalog import Catalog, check_key
from supabase_standin.storage.failures import StorageFailure, no_bucket, no_object, too_large
from supabase_standin.storage.files import Files, Received, etag_of
from supabase_standin.storage.upload import HEADER, Upload, read_upload

SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    # An uploaded page shares its origin with the app: it may be looked at, not run.
    "Content-Security-Policy": "sandbox",
}


class ServedFile(web.FileResponse):
    """aiohttp answers conditions and ranges; it does not know that If-Range may name an entity tag."""

    async def prepare(self, request: Any) -> Any:
        tag = request.headers.get(hdrs.IF_RANGE)
        if tag and request.if_range is None and tag != etag_of(self._path):  # ranges of two versions make no file
            headers = request.headers.copy()
            headers.popall(hdrs.RANGE, None)
            request = request.clone(headers=headers)
        return await super().prepare(request)


class Objects:
    """Rows and files together: a file is there before its row, and goes after it."""

    def __init__(self, database: Database, files: Files, buckets: Buckets, largest: int) -> None:
        self._files = files
        self._largest = largest
        self._buckets = buckets
        self._catalog = Catalog(database)

    async def may_put(self, identity: Identity, bucket: str, name: str, *, upsert: bool) -> None:
        """Raises the refusal that an upload would meet."""
        check_key(name)
        await self._buckets.find(bucket)
        await self._catalog.may_put(identity, bucket, name, upsert=upsert)

    async def put(
        self, request: web.Request, owner: str | None, bucket: str, name: str, *, upsert: bool
    ) -> dict[str, str]:
        """Receive the request's file; the right to put it was checked before."""
        await self._buckets.find(bucket)
        if not upsert:
            await self._catalog.is_free(bucket, name)

        async def receive(mimetype: str, pieces: AsyncIterator[bytes]) -> Received:
            limit = await self.limit(bucket, mimetype)
            if (request.content_length or 0) > limit + 65_536:
                raise too_large()  # even without the form around it
            return await self._files.receive(pieces, limit)

        upload = await read_upload(request, receive, self._files.remove)
        # A client that goes now must not leave a row without its file.
        return await asyncio.shield(self.keep(owner, bucket, name, upload, upsert=upsert))

    async def limit(self, bucket: str, mimetype: str) -> int:
        """How many bytes an object of that type may have: the bucket's own limit counts as far as it is below the project's. Raises StorageFailure."""
        rules = await self._buckets.find(bucket)
        if not _allowed(mimetype, rules["allowed_mime_types"]):
            raise StorageFailure(415, "invalid_mime_type", f"mime type {mimetype} is not supported", "InvalidMimeType")
        own = rules["file_size_limit"]
        return self._largest if own is None else min(own, self._largest)

    async def keep(self, owner: str | None, bucket: str, name: str, upload: Upload, *, upsert: bool) -> dict[str, str]:
        """The row of what has come; without it the file goes again."""
        try:
            object_id, replaced = await self._catalog.put(owner, bucket, name, upload, upsert=upsert)
        except BaseException:
            self._files.remove(upload.received.version)
            raise
        self._files.remove(replaced)
        return {"Id": str(object_id), "Key": f"{bucket}/{name}"}

    async def serve(
        self, request: web.Request, identity: Identity | None, bucket: str, name: str
    ) -> web.StreamResponse:
        """The bytes, whole or a range; None is whoever holds a public or signed URL."""
        row = await self._catalog.find(identity, bucket, name)
        path = self._files.find(row["version"])
        metadata = row["metadata"] or {}
        headers = {
            hdrs.CONTENT_TYPE: _sendable(metadata.get("mimetype"), "application/octet-stream"),
            hdrs.CACHE_CONTROL: _sendable(metadata.get("cacheControl"), "no-cache"),
            **SAFE,
        }
        if (download := request.query.get("download")) is not None:
            named = f"; filename={quote(download)}; filename*=UTF-8''{quote(download)}" if download else ""
            headers[hdrs.CONTENT_DISPOSITION] = f"attachment{named}"
        return ServedFile(path, headers=headers)

    async def serve_public(self, request: web.Request, bucket: str, name: str) -> web.StreamResponse:
        if not (await self._buckets.find(bucket))["public"]:
            raise no_bucket()
        return await self.serve(request, None, bucket, name)

    async def find(self, identity: Identity | None, bucket: str, name: str) -> asyncpg.Record:
        return await self._catalog.find(identity, bucket, name)

    async def info_public(self, bucket: str, name: str) -> dict[str, Any]:
        if not (await self._buckets.find(bucket))["public"]:
            raise no_object()
        return await self.info(None, bucket, name)

    async def info(self, identity: Identity | None, bucket: str, name: str) -> dict[str, Any]:
        row = await self._catalog.find(identity, bucket, name)
        metadata = row["metadata"] or {}
        return {
            "id": str(row["id"]), "name": row["name"], "bucket_id": row["bucket_id"], "version": row["version"],
            "size": metadata.get("size"), "content_type": metadata.get("mimetype"), "etag": metadata.get("eTag"),
            "cache_control": metadata.get("cacheControl"), "last_modified": metadata.get("lastModified"),
            "created_at": row["created_at"], "metadata": row["user_metadata"] or {},
        }  # fmt: skip

    async def move(self, identity: Identity, source: tuple[str, str], target: tuple[str, str]) -> dict[str, str]:
        check_key(target[1])
        await self._buckets.find(target[0])
        moved = await self._catalog.move(identity, *source, *target)
        return {"message": "Successfully moved", "Id": str(moved), "Key": target[1]}

    async def copy(
        self, identity: Identity, source: tuple[str, str], target: tuple[str, str], *, upsert: bool
    ) -> dict[str, str]:
        row = await self._catalog.find(identity, *source)
        await self.may_put(identity, *target, upsert=upsert)
        # A client that goes now must not leave a file without its row.
        return await asyncio.shield(self._copy(identity, row, target, upsert=upsert))

    async def _copy(
        self, identity: Identity, row: asyncpg.Record, target: tuple[str, str], *, upsert: bool
    ) -> dict[str, str]:
        received = await asyncio.to_thread(self._files.copy, row["version"])
        metadata = row["metadata"] or {}
        upload = Upload(
            received=received,
            mimetype=metadata.get("mimetype") or "application/octet-stream",
            cache_control=metadata.get("cacheControl") or "no-cache",
            user_metadata=row["user_metadata"],
        )
        return await self.keep(identity.user, *target, upload, upsert=upsert)

    async def remove(self, identity: Identity, bucket: str, names: list[str]) -> list[dict[str, Any]]:
        await self._buckets.find(bucket)
        return await asyncio.shield(self._remove(identity, bucket, names))

    async def _remove(self, identity: Identity, bucket: str, names: list[str]) -> list[dict[str, Any]]:
        rows = await self._catalog.remove(identity, bucket, names)
        for row in rows:
            self._files.remove(row["version"])
        return rows


def _sendable(value: Any, otherwise: str) -> str:
    """Rows may be written in SQL: what cannot be a header gives way."""
    return value if isinstance(value, str) and HEADER.fullmatch(value) else otherwise


def _allowed(mimetype: str, allowed: list[str] | None) -> bool:
    """Whether one of the bucket's patterns (`image/png`, `image/*`, `*/*`) takes the type."""
    if not allowed:
        return True
    kind, _, subtype = mimetype.partition(";")[0].strip().lower().partition("/")
    patterns = [pattern.lower().partition("/")[::2] for pattern in allowed]
    return any(k in ("*", kind) and s in ("*", subtype) for k, s in patterns)
