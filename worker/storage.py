"""SupabaseStorage: the public buckets, through the `supabase` client."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import structlog
from storage3.exceptions import StorageApiError

from rhythmai.project.environment import OUR_BUCKETS
from rhythmai.project.storage import TROUBLE, StorageClient
from worker.errors import Misconfigured, Rejected, ServiceAway

log = structlog.get_logger()
TRIES = 4
TIMEOUT_S = 120
ALREADY_THERE = {"409", "Duplicate", "KeyAlreadyExists"}
TOO_MUCH = {"413", "415"}
"""Answers that another try does not change."""
_KEY = "SUPABASE_KEY must be a worker's key (`rhythmai worker-key`, beside SUPABASE_PUBLISHABLE_KEY) or the project's secret one"
REMEDIES = {"401": _KEY, "403": _KEY, "404": "run `rhythmai migrate`, which makes the buckets"}
"""What to do about an answer at the start. Later the same answer may be a proxy's whose Storage is away: then we wait."""


class SupabaseStorage:
    """Implements `ports.Storage`. Never overwrites (upsert is off): paths carry a hash of the content before it was signed, so an
    object that is there already is the same, or differs by its signature alone."""

    def __init__(self, supabase_url: str, key: str, *, apikey: str = "", tries: int = TRIES) -> None:
        self._storage = StorageClient(supabase_url, key, timeout_s=TIMEOUT_S, apikey=apikey)
        self._tries = tries

    async def check(self) -> None:
        """Ask for our buckets once: a wrong key is better told at the start than after the first track.

        Raises Misconfigured; a Storage that is away is not our business yet.
        """
        client = await self._storage.client()
        for bucket in OUR_BUCKETS:
            try:
                await client.storage.get_bucket(bucket)
            except StorageApiError as error:
                remedy = REMEDIES.get(str(error.status))
                if remedy:
                    raise Misconfigured(f"Storage refused bucket {bucket}: {error.message}; {remedy}") from None
            except TROUBLE as error:
                log.warning("storage.away", error=str(error) or type(error).__name__)
                return

    async def put(self, bucket: str, path: str, data: bytes | Path, content_type: str) -> str:
        client = await self._storage.client()
        options = {"content-type": content_type, "cache-control": "31536000", "upsert": "false"}
        for attempt in range(1, self._tries + 1):
            try:
                await client.storage.from_(bucket).upload(path, data, options)  # type: ignore[arg-type]
                break
            except StorageApiError as error:
                if {str(error.status), str(error.code)} & ALREADY_THERE:
                    break
                trouble = f"Storage refused {bucket}/{path}: {error.message} ({error.status})"
                if str(error.status) in TOO_MUCH:
                    raise Rejected(f"{trouble}; the bucket takes less than that", code="storage_refused") from error
            except TROUBLE as error:
                trouble = f"Storage cannot be reached: {error or type(error).__name__}"
            if attempt == self._tries:
                raise ServiceAway(trouble, code="storage_unavailable")
            log.warning("storage.again", bucket=bucket, attempt=attempt, error=trouble)
            await asyncio.sleep(random.uniform(0.5, 1.0) * 0.5 * 2**attempt)
        return self._storage.public_url(bucket, path)

    async def remove(self, bucket: str, paths: Sequence[str]) -> None:
        client = await self._storage.client()
        try:
            await client.storage.from_(bucket).remove(list(paths))
        except (StorageApiError, *TROUBLE) as error:
            trouble = f"Storage refused to delete in {bucket}: {error or type(error).__name__}"
            raise ServiceAway(trouble, code="storage_unavailable") from error

    async def close(self) -> None:
        await self._storage.close()
