"""The project's Storage, as operators use it: through the supabase client, with the secret key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self

from storage3.exceptions import StorageApiError
from storage3.utils import StorageException

from rhythmai.errors import BadInput, Refused, Unreachable
from rhythmai.project.storage import TROUBLE, StorageClient

TIMEOUT_S: Final = 30


class Buckets:
    """An async context. All calls raise Refused (404: not there) or Unreachable, with what Storage said."""

    def __init__(self, supabase_url: str, key: str, *, apikey: str = "") -> None:
        if not supabase_url or not key:
            raise BadInput("SUPABASE_URL and SUPABASE_KEY (the secret key) are needed to reach Storage: set them")
        self._storage = StorageClient(supabase_url, key, timeout_s=TIMEOUT_S, apikey=apikey)
        self._apikey = {"apikey": apikey or key}
        self._client: Any = None
        self._http: Any = None

    async def __aenter__(self) -> Self:
        from supabase import AsyncSupabaseException

        try:
            self._client = await self._storage.client()
        except AsyncSupabaseException as error:
            await self._storage.close()
            raise BadInput(f"SUPABASE_URL or SUPABASE_KEY is malformed: {error}") from None
        self._http = self._storage.http
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._storage.close()

    async def settings(self, bucket: str) -> dict[str, Any]:
        """`public`, `file_size_limit` (bytes or None), `allowed_mime_types`."""
        found = await self._ask(self._client.storage.get_bucket(bucket))
        return {name: getattr(found, name, None) for name in ("public", "file_size_limit", "allowed_mime_types")}

    async def largest(self) -> int | None:
        """How many bytes an object may have anywhere in the project; None where it does not say."""

        asking = self._http.options(f"{self._storage.url}/storage/v1/upload/resumable", headers=self._apikey)
        said = (await self._ask(asking)).headers.get("Tus-Max-Size")
        return int(said) if said and said.isdecimal() else None

    async def put(self, bucket: str, path: str, data: bytes, content_type: str) -> str:
        """Upload a new object; return its public URL."""
        options = {"content-type": content_type, "upsert": "false"}
        await self._ask(self._client.storage.from_(bucket).upload(path, data, options))
        return self._storage.public_url(bucket, path)

    async def read(self, url: str) -> bytes:
        """What everybody gets at a public URL."""

        async def get() -> Any:
            return (await self._http.get(url)).raise_for_status().content

        return bytes(await self._ask(get()))

    async def remove(self, objects: Iterable[tuple[str, str]]) -> int:
        """Delete (bucket, path)s; return how many were there."""
        paths: defaultdict[str, list[str]] = defaultdict(list)
        for bucket, path in objects:
            paths[bucket].append(path)
        removed = 0
        for bucket, names in paths.items():
            removed += len(await self._ask(self._client.storage.from_(bucket).remove(names)))
        return removed

    async def _ask(self, call: Any) -> Any:
        try:
            return await call
        except (StorageException, *TROUBLE) as error:
            said = f"Storage did not do it: {error or type(error).__name__}"
            if isinstance(error, StorageApiError) and str(error.status).startswith("4"):
                raise Refused(int(error.status), error.code, said) from None
            raise Unreachable(said) from None
