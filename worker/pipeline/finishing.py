"""Finishing: what becomes of the raw tracks of one job. Each is mastered, uploaded, and a row."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from worker.domain import Facts, Job, Kept, Options, Plan, Recording, Result, Scene, Span, Track, Variant
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
    kept: Kept | None
    """The track of which a part is new."""
    duration_s: float
    scenes: tuple[Scene, ...]
    """Of the film, where its cuts are known to the frame."""

    async def put(self, variant: Variant, track: Track) -> None:
        """Raises what `Pipeline.run` raises."""
        direction, options, mending = variant.direction, self.job.options, self.job.options.mend
        seed = variant.seed if track.seed is None else track.seed
        finish = partial(self.has.master, track, duration_s=self.duration_s, loudness_lufs=options.loudness_lufs)
        if mending and self.kept:
            seed = mending.seed  # by which most of it came to be, and all that a later part is to fit
            span = track.mended or Span(start_s=mending.start_s, end_s=mending.end_s)
            track = replace(track, mended=replace(span, end_s=min(span.end_s, self.kept.duration_s)))
            finish = partial(self.has.mender.mend, track, self.kept, mending)
        facts = of_track(self.engine, seed, direction.prompt)
        tags = {
            "title": direction.title,
            "prompt": direction.prompt,
            **facts,
            "job": str(self.job.lease.job_id),
            "copyright": str(self.engine.licence),
        }
        work = partial(
            finish, format=options.format, tags=tags, scenes=self.scenes, hits=self.plan.hits,
            loop=options.loop and "loop" not in self.engine.ignores,
        )  # fmt: skip
        with self.timings.of("master"):
            recording = await self._mastering(work)
        self.timings.music_s += recording.duration_s
        name = f"{self.job.lease.job_id}/{variant.index}"
        path = _path(name, recording.data, recording.suffix)
        with self.timings.of("upload"):
            (url, small), (master_url, latents_url) = await together(
                together(
                    self._put(path, recording.data, recording.content_type, direction.title, facts),
                    self._small(name, recording, tags, facts),
                ),
                together(self._master(name, recording, direction.title, facts), self._latents(name, track)),
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
                gain_db=recording.gain_db,
                mended=track.mended,
                master_url=master_url,
                latents_url=latents_url,
                ignored=tuple(  # that there are to be no hits asks nothing of an engine
                    sorted(n for n in self.engine.ignores if getattr(options, n) not in (getattr(USUAL, n), ()))
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
        return await self._put(_path(name, data, ".m4a", 8), data, "audio/mp4", tags["title"], facts)

    async def _master(self, name: str, recording: Recording, title: str, facts: Facts) -> str | None:
        """Where every sample is kept, so that a part can be made anew in it."""
        if recording.master is None:
            return None
        path = _path(name, recording.master, ".flac")
        return await self._put(path, recording.master, "audio/flac", title, facts)

    async def _latents(self, name: str, track: Track) -> str | None:
        """Where what the engine has to know of the track for that is kept."""
        if track.latents is None:
            return None
        from safetensors.numpy import save  # an engine that has latents has brought it

        data = save({"latents": track.latents})
        path = _path(name, data, ".safetensors")
        return await self.has.storage.put("audios", path, data, "application/octet-stream")

    async def _mastering(self, work: Callable[[], Made]) -> Made:
        try:
            return await asyncio.get_running_loop().run_in_executor(self.has.mastering, work)
        except BrokenExecutor as error:
            raise Unavailable(
                "the process that masters was killed, for want of memory perhaps; try again later",
                code="child_killed",
            ) from error


def _path(name: str, data: bytes, suffix: str, letters: int = 32) -> str:
    return f"{name}-{hashlib.sha256(data).hexdigest()[:letters]}{suffix}"
