"""What is noted while jobs run: when each came to what, and the processor's seconds of each stage, children included."""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from worker.domain import Clip, Frames, Stage, View


def studio_s() -> float:
    """Processor's seconds of the processes that master."""
    ours = [child for child in psutil.Process().children() if "multiprocessing" in " ".join(child.cmdline())]
    return sum(sum(child.cpu_times()[:2]) for child in ours)


def children_s() -> float:
    """Processor's seconds of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime + sum(sum(child.cpu_times()[2:4]) for child in psutil.Process().children())


@dataclass(slots=True)
class Meter:
    """Stands between the pipeline and its ports. Jobs are told apart by their film's URL, which is each one's own."""

    queue: Any
    fetcher: Any
    looker: Any
    urls: dict[Any, str] = field(default_factory=dict)
    """Of a job's id, and of the folder that its file lies in."""
    at: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    """Of a job, when (monotonic seconds): looked, ready (to compose), first, last."""
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Of a stage."""
    asked_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Of a job: when the engine was asked to watch its film, stretch by stretch."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.queue, name)

    async def claim(self) -> Any:
        job = await self.queue.claim()
        if job is not None:
            self.urls[job.lease.job_id] = job.video_url
            self.at[job.video_url]["claimed"] = time.monotonic()
        return job

    async def fetch(self, url: str, into: Path) -> Path:
        self.urls[into.name] = url
        file: Path = await self.fetcher.fetch(url, into)
        return file

    async def set_stage(self, lease: Any, stage: Stage, made_with: str | None = None) -> None:
        if stage is Stage.COMPOSING:
            self.at[self.urls[lease.job_id]]["ready"] = time.monotonic()
        await self.queue.set_stage(lease, stage, made_with)

    async def put_result(self, lease: Any, result: Any) -> None:
        await self.queue.put_result(lease, result)
        at = self.at[self.urls[lease.job_id]]
        at["last"] = time.monotonic()
        at.setdefault("first", at["last"])

    async def look(
        self, path: Path, duration_s: float | None, views: tuple[View, ...] | None = None
    ) -> AsyncGenerator[Clip | Frames]:
        url = self.urls[path.parent.name]
        async with aclosing(self.looker.look(path, duration_s, views)) as looks:
            async for more in looks:
                if isinstance(more, Clip):
                    self.at[url].setdefault("looked", time.monotonic())
                else:
                    self.asked_s[url].append(time.monotonic())
                yield more
