"""Uploads: signed addresses to which a browser puts its video, straight into the Storage bucket."""

from __future__ import annotations

import asyncio
import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import jwt
import structlog
from storage3.utils import StorageException

from edge_api.database import Database
from edge_api.problems import Problem
from rhythmai.project.storage import TROUBLE, StorageClient

log = structlog.get_logger()

BUCKET: Final = "uploads"
OTHER: Final = "application/octet-stream"
"""What all is called that nobody calls a video; its content decides."""
SUFFIX: Final = {
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "video/x-msvideo": ".avi",
    "video/mp2t": ".ts",
    "video/x-flv": ".flv",
    "video/ogg": ".ogv",
}
USUAL_LIFE: Final = timedelta(hours=2)
"""How long Supabase's signed uploads hold when the token does not say."""
TIMEOUT_S: Final = 10
CHUNK: Final = 6 * 2**20
"""Supabase wants pieces of exactly this size."""
KEPT_S: Final = "3600"
"""An upload never changes: whoever fetched it may keep it for an hour."""


class Uploads:
    """Signs uploads with the key, which stays here; paths hold 128 random bits and nothing of the user."""

    def __init__(self, supabase_url: str, key: str, database: Database, *, apikey: str = "") -> None:
        self._database = database
        self._storage = StorageClient(supabase_url, key, timeout_s=TIMEOUT_S, apikey=apikey)

    async def sign(self, content_type: str, size: int, *, owner: UUID | None, client: str) -> dict[str, object]:
        """The answer of POST /api/v1/upload. Raises Problem: too_many_uploads, storage_unavailable."""
        content_type = content_type.partition(";")[0].strip().lower()
        if not re.fullmatch(r"video/[a-z0-9][a-z0-9.+-]*", content_type):
            content_type = OTHER
        path = secrets.token_hex(16) + SUFFIX.get(content_type, "")
        await self._database.take_upload(path, size, owner=owner, client=client)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                supabase = await self._storage.client()
                signed = await supabase.storage.from_(BUCKET).create_signed_upload_url(path)
        except (StorageException, KeyError, *TROUBLE) as error:
            # KeyError: JSON that is not Storage's
            log.warning("storage.away", error=type(error).__name__, status=getattr(error, "status", None))
            await self._database.return_upload(path)
            raise Problem(
                "storage_unavailable",
                "Storage does not take uploads right now; try again in a few seconds",
                headers={"Retry-After": "5"},
            ) from error
        return {
            "upload_url": signed["signed_url"],
            "method": "PUT",
            "headers": {"content-type": content_type, "x-upsert": "false"},
            "video_url": self._storage.public_url(BUCKET, path),
            "expires_at": _end_of(signed["token"]).isoformat(),
            "resumable": {
                "endpoint": f"{self._storage.url}/storage/v1/upload/resumable/sign",
                "headers": {"x-signature": signed["token"]},
                "metadata": {
                    "bucketName": BUCKET,
                    "objectName": path,
                    "contentType": content_type,
                    "cacheControl": KEPT_S,
                },
                "chunk_size": CHUNK,
            },
        }

    async def close(self) -> None:
        await self._storage.close()


def _end_of(token: str) -> datetime:
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (jwt.PyJWTError, KeyError, ValueError, TypeError, OverflowError):
        return datetime.now(UTC) + USUAL_LIFE
