"""Finishing: what becomes of the raw tracks of one job. Each is mastered, uploaded, and a row."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog

from worker.domain import Job, Options, Plan, Recording, Result, Track, Variant
from worker.errors import Unavailable
from worker.ports import Engine, ForPlayers, Master, Queue, Storage
from worker.timings import Timings
from worker.together import together

log = structlog.get_logger()
Made = TypeVar("Made")
USUAL = Options()
PLAYED = {".m4a", ".mp3"}
"""By every player."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finishing:
    job: Job
    plan: Plan
    engine: Engine
    duration_s: float
    timings: Timings
    queue: Queue
    storage: Storage
    master: Master
    for_players: ForPlayers | None
    mastering: Executor

    async def put(self, variant: Variant, track: Track) -> None:
        """Raises what `Pipeline.run` raises."""
        direction, seed = variant.direction, variant.seed if track.seed is None else track.seed
        tags = {
            "title": direction.title,
            "prompt": direction.prompt,
            "seed": str(seed),
            "engine": f"{self.engine.name} {self.engine.model}".strip(),
            "job": str(self.job.lease.job_id),
            "copyright": str(self.engine.licence),
        }
        work = partial(self.master, track, duration_s=self.duration_s, format=self.job.options.format, tags=tags)
        with self.timings.of("master"):
            recording = await self._mastering(work)
        self.timings.music_s += recording.duration_s
        name = f"{self.job.lease.job_id}/{variant.index}"
        path = f"{name}-{hashlib.sha256(recording.data).hexdigest()[:32]}{recording.suffix}"
        with self.timings.of("upload"):
            url, small = await together(
                self.storage.put("audios", path, recording.data, recording.content_type),
                self._small(name, recording, tags),
            )
        await self.queue.put_result(
            self.job.lease,
            Result(
                index=variant.index,
                prompt=direction.prompt,
                title=direction.title,
                description=direction.description,
                audio_url=url,
                audio_preview_url=url if recording.suffix in PLAYED else small,
                seed=seed,
                duration_s=recording.duration_s,
                engine=self.engine.name,
                model=self.engine.model,
                licence=self.engine.licence,
                describer=self.plan.describer,
                bpm=recording.bpm,
                key=recording.key,
                peaks=recording.peaks,
                loudness_lufs=recording.loudness_lufs,
                true_peak_db=recording.true_peak_db,
                ignored=tuple(
                    sorted(
                        name for name in self.engine.ignores if getattr(self.job.options, name) != getattr(USUAL, name)
                    )
                ),
            ),
        )
        log.info("result.ready", index=variant.index, title=direction.title, loudness_lufs=recording.loudness_lufs)

    async def _small(self, name: str, recording: Recording, tags: dict[str, str]) -> str | None:
        """The address of what players get of a track, if it is something else; it is made while the track is uploaded."""
        if self.for_players is None or recording.suffix in PLAYED:
            return None
        data = await self._mastering(partial(self.for_players, recording, tags=tags))
        path = f"{name}-{hashlib.sha256(data).hexdigest()[:8]}.m4a"
        return await self.storage.put("audios", path, data, "audio/mp4")

    async def _mastering(self, work: Callable[[], Made]) -> Made:
        try:
            return await asyncio.get_running_loop().run_in_executor(self.mastering, work)
        except BrokenExecutor as error:
            raise Unavailable(
                "the process that masters was killed, for want of memory perhaps; try again later",
                code="child_killed",
            ) from error
