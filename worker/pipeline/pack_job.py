"""The way of a pack: fetch film and track, look at the film again, make what is handed over, zip, upload, one result row."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from worker.domain import Job, Options, Packed, Plan, Result, Stage, Variant
from worker.errors import Rejected
from worker.pipeline.equipment import Equipment
from worker.pipeline.video import fetch_video, looked_at
from worker.timings import Timings
from worker.together import together

_SMALL = {".json", ".mid", ".otio", ".edl", ".xml"}
"""What is text or like it; sound is packed tight already."""


async def pack(job: Job, folder: Path, timings: Timings, has: Equipment) -> None:
    """Raises what `Pipeline.run` raises."""
    if 0 in job.done:
        return
    plan, options = _asked(job)
    await has.queue.set_stage(job.lease, Stage.FETCHING)
    for name in ("video", "audio", "pack", "signed"):
        (folder / name).mkdir()
    with timings.of("fetch"):
        video, track = await together(
            fetch_video(job, has.fetcher, folder / "video"),
            has.fetcher.fetch(str(options.audio_url), folder / "audio"),
        )
    await has.queue.set_stage(job.lease, Stage.PACKING)
    with timings.of("look"):
        clip = await looked_at(has.looker, video, options.duration_s)  # as long as for composers by scenes
    known = await has.queue.known_speech(job.lease)
    clip = replace(clip, speech=known.spans if known else ())
    film = urlsplit(job.video_url)._replace(query="", fragment="").geturl()
    with timings.of("pack"):
        packed = await has.packer.pack(track, folder / "pack", clip, plan, options, film)
    for note in packed.notes:
        await has.queue.note(job.lease, note)
    with timings.of("upload"):
        url = await _put(job, folder, packed, has)
    await has.queue.put_result(job.lease, Result(index=0, pack_url=url))


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


async def _put(job: Job, folder: Path, packed: Packed, has: Equipment) -> str:
    """The address of the zip; where Storage takes none that large, of one without stems."""
    whole = {**packed.files, **packed.stems}
    # Of what is in it before it is signed: no two signatures are alike, and a retry finds what is there.
    digest = await asyncio.to_thread(_digest, whole)
    if has.signer is not None:
        for name, file in packed.stems.items():
            whole[name] = await has.signer.sign(
                file, folder / "signed", content_type="audio/flac", title=Path(name).stem, facts=packed.facts, parts={}
            )
    zipped, path = folder / "pack.zip", f"{job.lease.job_id}/{digest}"
    try:
        await asyncio.to_thread(_zip, zipped, whole)
        return await has.storage.put("audios", f"{path}.zip", zipped, "application/zip")
    except Rejected as error:
        if not packed.stems:
            raise
        await has.queue.note(job.lease, f"The pack has no stems: with them it would be too large ({error}).")
    await asyncio.to_thread(_zip, zipped, packed.files)
    return await has.storage.put("audios", f"{path}-small.zip", zipped, "application/zip")


def _digest(files: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, file in files.items():
        digest.update(name.encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:32]


def _zip(zipped: Path, files: Mapping[str, Path]) -> None:
    with ZipFile(zipped, "w") as pack:
        for name, file in files.items():
            entry = ZipInfo(name)  # without the time, which is of no use here
            entry.compress_type = ZIP_DEFLATED if file.suffix in _SMALL else ZIP_STORED
            entry.file_size = file.stat().st_size
            entry.external_attr = 0o644 << 16
            with file.open("rb") as stream, pack.open(entry, "w") as target:
                shutil.copyfileobj(stream, target)
