"""The way of a merge: fetch film and music, put one under the other, upload, one result row."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from worker.domain import Job, Result, Stage
from worker.errors import Rejected
from worker.pipeline.equipment import Equipment
from worker.pipeline.listen import speech_of
from worker.pipeline.video import fetch_video
from worker.timings import Timings
from worker.together import together


async def merge(job: Job, folder: Path, timings: Timings, has: Equipment) -> None:
    """Raises what `Pipeline.run` raises."""
    if 0 in job.done:
        return
    if not job.options.audio_url:
        raise Rejected("audio_url is missing: a merge needs the music to put under the video", code="bad_url")
    await has.queue.set_stage(job.lease, Stage.FETCHING)
    for name in ("video", "audio", "merged"):
        (folder / name).mkdir()
    with timings.of("fetch"):
        video, audio = await together(
            fetch_video(job, has.fetcher, folder / "video"), has.fetcher.fetch(job.options.audio_url, folder / "audio")
        )
    speech = await speech_of(job, video, timings, has.queue, has.ear) if job.options.ducks else ()
    licence = await has.queue.music_licence(job.lease)
    await has.queue.set_stage(job.lease, Stage.MERGING)
    with timings.of("merge"):
        merged = await has.merger.merge(video, audio, folder / "merged", job.options, speech, licence)
    for note in merged.notes:
        await has.queue.note(job.lease, note)
    digest = await asyncio.to_thread(_digest, merged.file)  # before it is signed: no two signatures are alike
    file = merged.file
    if has.signer is not None:
        with timings.of("sign"):
            file = await has.signer.sign(
                file, folder / "merged", content_type="video/mp4", title="A film with music", facts=merged.facts,
                parts={"film": video, "music": audio},
            )  # fmt: skip
    with timings.of("upload"):
        url = await has.storage.put("videos", f"{job.lease.job_id}/{digest[:32]}.mp4", file, "video/mp4")
    await has.queue.put_result(job.lease, Result(index=0, video_url=url, licence=licence))


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
