"""Finishing: what becomes of the raw tracks of one job. Each is mastered, uploaded, and a row."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from worker.domain import Facts, Job, Options, Plan, Recording, Result, Scene, Track, Variant
from worker.errors import Unavailable
from worker.pipeline.equipment import Equipment
from worker.pipeline.origin import of_track
from worker.ports import Engine
from worker.timings import Timings
from worker.together import together

log = structlog.get_logger()
Made = TypeVar("Made")
USUAL = Options()
PLAYED = {".m4a", ".mp3"}
"""By every player."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finishing:
    has: Equipment
    job: Job
    folder: Path
    timings: Timings
    engine: Engine
    plan: Plan
    duration_s: float
    scenes: tuple[Scene, ...]
    """Of the film, where its cuts are known to the frame."""

    async def put(self, variant: Variant, track: Track) -> None:
        """Raises what `Pipeline.run` raises."""
        direction, seed = variant.direction, variant.seed if track.seed is None else track.seed
        facts, options = of_track(self.engine, seed, direction.prompt), self.job.options
        tags = {
            "title": direction.title,
            "prompt": direction.prompt,
            **facts,
            "job": str(self.job.lease.job_id),
            "copyright": str(self.engine.licence),
        }
        work = partial(
            self.has.master, track,
            duration_s=self.duration_s, loudness_lufs=options.loudness_lufs, format=options.format, tags=tags, scenes=self.scenes,
        )  # fmt: skip
        with self.timings.of("master"):
            recording = await self._mastering(work)
        self.timings.music_s += recording.duration_s
        name = f"{self.job.lease.job_id}/{variant.index}"
        path = f"{name}-{hashlib.sha256(recording.data).hexdigest()[:32]}{recording.suffix}"
        with self.timings.of("upload"):
            url, small = await together(
                self._put(path, recording.data, recording.content_type, direction.title, facts),
                self._small(name, recording, tags, facts),
            )
        await self.has.queue.put_result(
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
                fit=recording.fit.told if recording.fit else None,
                ignored=tuple(
                    sorted(name for name in self.engine.ignores if getattr(options, name) != getattr(USUAL, name))
                ),
            ),
        )
        log.info("result.ready", index=variant.index, title=direction.title, loudness_lufs=recording.loudness_lufs)

    async def _put(self, path: str, data: bytes, content_type: str, title: str, facts: Facts) -> str:
        """Signed, where there is a signer. The path is by what is signed: no two signatures are alike, and a retry finds what is there."""
        if self.has.signer is None:
            return await self.has.storage.put("audios", path, data, content_type)
        file = self.folder / Path(path).name
        await asyncio.to_thread(file.write_bytes, data)
        signed = await self.has.signer.sign(
            file, self.folder, content_type=content_type, title=title, facts=facts, parts={}
        )
        try:
            return await self.has.storage.put("audios", path, signed, content_type)
        finally:
            file.unlink()
            signed.unlink()

    async def _small(self, name: str, recording: Recording, tags: dict[str, str], facts: Facts) -> str | None:
        """The address of what players get of a track, if it is something else; it is made while the track is uploaded."""
        if self.has.for_players is None or recording.suffix in PLAYED:
            return None
        data = await self._mastering(partial(self.has.for_players, recording, tags=tags))
        path = f"{name}-{hashlib.sha256(data).hexdigest()[:8]}.m4a"
        return await self._put(path, data, "audio/mp4", tags["title"], facts)

    async def _mastering(self, work: Callable[[], Made]) -> Made:
        try:
            return await asyncio.get_running_loop().run_in_executor(self.has.mastering, work)
        except BrokenExecutor as error:
            raise Unavailable(
                "the process that masters was killed, for want of memory perhaps; try again later",
                code="child_killed",
            ) from error
