"""How far a tool is, told to a host that waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from uuid import UUID

from mcp.server.mcpserver import Context

from rhythmai.client import Client
from rhythmai.errors import RhythmAIError

EVERY_S: Final = 1.0
UPLOAD: Final = 10
"""How much of the way the upload is, in percent."""


class Progress:
    """What is told next; every time is further than the one before, as the protocol wants it."""

    def __init__(self, context: Context[Any, Any], client: Client) -> None:
        self._context, self._client = context, client
        self._told = -1.0
        self._sent = 0.0
        self.words = ""
        self.job_id: UUID | None = None

    def sent(self, count: int, size: int) -> None:
        """For `Client.upload`."""
        self._sent, self.words = UPLOAD * count / size, f"uploaded {count / 2**20:.0f} of {size / 2**20:.0f} MB"

    async def tell(self) -> None:
        """Once, from where the job stands; a job that cannot be asked is as far as it was."""
        at = self._sent
        if self.job_id:
            at = UPLOAD
            with suppress(RhythmAIError):
                job = await self._client.job(self.job_id)
                at += (100 - UPLOAD) * job.progress / 100
                self.words = job.stage or job.status
                if job.completed_count:
                    self.words += f", {job.completed_count} of {job.total_count} ready"
        if at > self._told:
            self._told = at
            await self._context.report_progress(at, 100, self.words)


@asynccontextmanager
async def telling(context: Context[Any, Any], client: Client) -> AsyncIterator[Progress]:
    """Tell every second as long as the context lasts, and once at its end."""
    progress = Progress(context, client)

    async def again_and_again() -> None:
        while True:
            await progress.tell()
            await asyncio.sleep(EVERY_S)

    ticking = asyncio.create_task(again_and_again())
    try:
        yield progress
        await progress.tell()
    finally:
        ticking.cancel()
        await asyncio.wait([ticking])
