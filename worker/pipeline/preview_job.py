"""The film for browsers, made beside a job's music: no track waits for it, and no job fails for want of it."""

from __future__ import annotations

import structlog

from worker.domain import Clip, Job
from worker.errors import WorkerError
from worker.ports import Previewer, Queue, Storage
from worker.timings import Timings

log = structlog.get_logger()
NONE = "There is no preview of the film that every browser plays"


async def preview(
    job: Job, clip: Clip, timings: Timings, queue: Queue, previewer: Previewer | None, storage: Storage
) -> None:
    """Raises LeaseLost, Cancelled, QueueUnavailable; anything else is a note. Without a previewer there is none."""
    if previewer is None:
        return
    try:
        with timings.of("preview"):
            made = await previewer.preview(job.video_url, clip.path, clip.path.parent, clip.duration_s)
            if made is None:
                return
            # Named by what it is made of: that of an earlier attempt does as well.
            url = await storage.put("videos", f"{job.lease.job_id}/preview-{clip.digest[:16]}.mp4", made, "video/mp4")
    except WorkerError as error:
        log.warning("preview.failed", error=str(error), code=error.code)
        await queue.note(job.lease, f"{NONE}: {error}")
    except Exception:
        log.exception("preview.bug")
        await queue.note(job.lease, f"{NONE}: something went wrong inside the worker; it is logged there")
    else:
        await queue.set_preview(job.lease, url)
