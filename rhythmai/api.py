"""An API over HTTP: what it answers, or what is wrong in words."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import aiohttp

from rhythmai.errors import BadInput, Refused, Unreachable

Json = dict[str, Any]


class Api:
    """All calls raise Refused, Unreachable or BadInput."""

    def __init__(self, url: str, token: str | None) -> None:
        if not url.startswith(("http://", "https://")):
            raise BadInput(f"{url} is not the address of an API (API_URL): write it like http://127.0.0.1:8000")
        self.url = f"{url.rstrip('/').removesuffix('/api/v1')}/api/v1"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session:
            await self._session.close()
            self._session = None

    def http(self) -> aiohttp.ClientSession:
        """The connections, also for what lies elsewhere."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, connect=10, sock_read=120))
        return self._session

    async def of_job(self, job_id: UUID | str, method: str, path: str = "", body: Json | None = None) -> Json:
        job_id = id_of(job_id)
        try:
            return await self.call(method, f"/job/{job_id}{path}", body)
        except Refused as error:
            raise Refused(error.status, error.code, f"{job_id}: {error}") from None

    async def call(
        self, method: str, path: str, body: Json | None = None, headers: dict[str, str] | None = None
    ) -> Json:
        headers = self._headers | (headers or {})
        try:
            async with self.http().request(method, self.url + path, json=body, headers=headers) as response:
                try:
                    answer = await response.json(content_type=None)
                except ValueError:
                    answer = None
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"The API at {self.url} does not answer: {error or type(error).__name__}") from None
        said: Json = answer if isinstance(answer, dict) else {}
        if status >= 500 or not isinstance(answer, dict):
            why = said.get("detail") or "no reason given"
            raise Unreachable(f"The API at {self.url} is in trouble ({status}): {why}")
        if status >= 400:
            raise Refused(status, str(said.get("code", "")), str(said.get("detail") or said.get("title") or status))
        return said


def id_of(job_id: UUID | str) -> UUID:
    """Raises BadInput: what is no id has no place in a path."""
    try:
        return UUID(str(job_id))
    except ValueError:
        raise BadInput(f"{job_id} is not the id of a job: `submit` answers with one") from None
