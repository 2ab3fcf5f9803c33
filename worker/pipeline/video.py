"""The video of a job, fetched, and looked at to its last frame where nothing waits for the first look."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

from worker.domain import Clip, Job
from worker.errors import Rejected
from worker.ports import Fetcher, Looker


def public_url(job: Job) -> str | None:
    """Where a describer may watch the film itself: what is private in Storage nobody else can."""
    return None if job.video_url.startswith("storage:") else job.video_url


async def fetch_video(job: Job, fetcher: Fetcher, into: Path) -> Path:
    """Raises what `Fetcher.fetch` raises, and Rejected for an upload that came after its job, and larger than announced."""
    file = await fetcher.fetch(job.video_url, into)
    if job.announced_bytes is not None and (size := (await asyncio.to_thread(file.stat)).st_size) > job.announced_bytes:
        file.unlink()
        raise Rejected(
            f"the upload has {size} bytes and was announced with {job.announced_bytes}: ask for another one with its true size",
            code="too_large",
        )
    return file


async def looked_at(looker: Looker, file: Path, duration_s: float | None) -> Clip:
    """The clip after the longest look. Raises what `Looker.look` raises."""
    async with aclosing(looker.look(file, duration_s)) as looks:
        clips = [look async for look in looks if isinstance(look, Clip)]
    return clips[-1]
