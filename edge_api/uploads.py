"""Uploads: signed addresses to which a browser puts its video, straight into the Storage bucket."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
import jwt
import structlog
from storage3.utils import StorageException
from supabase import AsyncClient, AsyncClientOptions, create_async_client

from edge_api.problems import Problem

log = structlog.get_logger()

BUCKET: Final = "uploads"
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


class Uploads:
    """Signs uploads with the secret key, which stays here; paths hold 128 random bits and nothing of the user."""

    def __init__(self, supabase_url: str, key: str) -> None:
        self._url = supabase_url
        self._key = key
        self._http: httpx.AsyncClient | None = None
        self._client: AsyncClient | None = None
        self._making = asyncio.Lock()

    async def sign(self, content_type: str) -> dict[str, object]:
        """The answer of POST /api/v1/upload. Raises Problem storage_unavailable."""
        path = secrets.token_hex(16) + SUFFIX[content_type]
        try:
            async with asyncio.timeout(TIMEOUT_S):
                client = await self._connected()
                signed = await client.storage.from_(BUCKET).create_signed_upload_url(path)
        except (StorageException, httpx.HTTPError, OSError, ValueError, KeyError) as error:
            # ValueError, KeyError: an answer that is not Storage's JSON, as a proxy gives when Storage is away
            log.warning("storage.away", error=type(error).__name__, status=getattr(error, "status", None))
            raise Problem(
                "storage_unavailable",
                "Storage does not take uploads right now; try again in a few seconds",
                headers={"Retry-After": "5"},
            ) from error
        return {
            "upload_url": signed["signed_url"],
            "method": "PUT",
            "headers": {"content-type": content_type, "x-upsert": "false"},
            "video_url": f"{self._url}/storage/v1/object/public/{BUCKET}/{path}",
            "expires_at": _end_of(signed["token"]).isoformat(),
        }

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def _connected(self) -> AsyncClient:
        async with self._making:
            if self._client is None:
                # Reading the system's certificates takes a while: not on the event loop.
                self._http = await asyncio.to_thread(httpx.AsyncClient, timeout=TIMEOUT_S)
                options = AsyncClientOptions(httpx_client=self._http)
                self._client = await create_async_client(self._url, self._key, options)
            return self._client


def _end_of(token: str) -> datetime:
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (jwt.PyJWTError, KeyError, ValueError, TypeError, OverflowError):
        return datetime.now(UTC) + USUAL_LIFE
