"""The way of a pack: fetch film and track, look at the film again, pack, upload, one result row."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from worker.domain import Clip, Job, Options, Plan, Result, Stage, Variant
from worker.errors import Rejected
from worker.pipeline.video import fetch_video
from worker.ports import Fetcher, Looker, Packer, Queue, Storage
from worker.timings import Timings
from worker.together import together


async def pack(
    job: Job,
    folder: Path,
    timings: Timings,
    *,
    queue: Queue,
    fetcher: Fetcher,
    looker: Looker,
    packer: Packer,
    storage: Storage,
) -> None:
    """Raises what `Pipeline.run` raises."""
    if 0 in job.done:
        return
    plan, options = _asked(job)
    await queue.set_stage(job.lease, Stage.FETCHING)
    for name in ("video", "audio", "pack"):
        (folder / name).mkdir()
    with timings.of("fetch"):
        video, track = await together(
            fetch_video(job, fetcher, folder / "video"), fetcher.fetch(str(options.audio_url), folder / "audio")
        )
    await queue.set_stage(job.lease, Stage.PACKING)
    with timings.of("look"):
        clip = await _seen(looker, video, options)
    known = await queue.known_speech(job.lease)
    clip = replace(clip, speech=known.spans if known else ())
    film = urlsplit(job.video_url)._replace(query="", fragment="").geturl()
    for apart in (True, False):
        with timings.of("pack"):
            packed = await packer.pack(track, folder / "pack", clip, plan, options, film, apart=apart)
        path = f"{job.lease.job_id}/{await asyncio.to_thread(_digest, packed.file)}.zip"
        try:
            with timings.of("upload"):
                url = await storage.put("audios", path, packed.file, "application/zip")
        except Rejected as error:
            if not packed.apart:
                raise
            await queue.note(
                job.lease, f"The pack has no stems and no MIDI, with which it would be too large ({error})."
            )
        else:
            break
    for note in packed.notes:
        await queue.note(job.lease, note)
    await queue.put_result(job.lease, Result(index=0, pack_url=url))


def _asked(job: Job) -> tuple[Plan, Options]:
    """The one track as it was composed: with the caption and the seed that its row tells, and the moments of its plan."""
    told = job.options.packs
    if job.plan is None or not job.plan.variants or not told or not job.options.audio_url:
        raise Rejected("the pack's job does not say which track it is made of: ask for it anew", code="bad_pack")
    variant = job.plan.variants[0]
    made = Variant(
        index=variant.index,
        seed=variant.seed if told.get("seed") is None else int(told["seed"]),
        direction=replace(variant.direction, prompt=told.get("prompt") or variant.direction.prompt),
    )
    plan = replace(job.plan, variants=(made,))
    return plan, replace(job.options, hits=plan.hits, segments=plan.segments)


async def _seen(looker: Looker, video: Path, options: Options) -> Clip:
    """The film, looked at as long as composers by scenes have it looked at."""
    async with aclosing(looker.look(video, options.duration_s)) as looks:
        clips = [look async for look in looks if isinstance(look, Clip)]
    return clips[-1]


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:32]
