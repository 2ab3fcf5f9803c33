"""The buckets of the project's Storage, through the supabase client with the secret key, or a worker's."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

import httpx

if TYPE_CHECKING:
    from supabase import AsyncClient

TROUBLE: Final = (httpx.HTTPError, OSError, ValueError)
"""What a call raises beside the client's own errors. ValueError: an answer that is not Storage's JSON, as a proxy gives."""


class StorageClient:
    """The supabase client, made when it is first needed; `apikey` is what the gateway before Storage wants, where it is not the key."""

    def __init__(self, supabase_url: str, key: str, *, timeout_s: float, apikey: str = "") -> None:
        self.url, self._key, self._timeout_s = supabase_url.rstrip("/"), key, timeout_s
        self._apikey = apikey or key
        self.http: httpx.AsyncClient | None = None
        self._client: AsyncClient | None = None
        self._making = asyncio.Lock()

    async def client(self) -> AsyncClient:
        """Raises supabase.AsyncSupabaseException when URL or key are malformed."""
        from supabase import AsyncClientOptions, create_async_client

        async with self._making:
            if self._client is None:
                if self.http is None:
                    # Reading the system's certificates takes a while: not on the event loop, and not where there is no TLS.
                    trusts_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                    verify = True if self.url.startswith("https:") else trusts_nobody
                    self.http = await asyncio.to_thread(httpx.AsyncClient, timeout=self._timeout_s, verify=verify)
                headers = {"Authorization": f"Bearer {self._key}"}
                options = AsyncClientOptions(httpx_client=self.http, headers=headers)
                self._client = await create_async_client(self.url, self._apikey, options)
            return self._client

    def public_url(self, bucket: str, path: str) -> str:
        """Where everybody reads an object of a public bucket."""
        return f"{self.url}/storage/v1/object/public/{bucket}/{path}"

    async def close(self) -> None:
        if self.http is not None:
            await self.http.aclose()
