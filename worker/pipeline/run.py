"""Running a job: each kind has a way of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from worker.domain import Job, Kind
from worker.pipeline.brief_job import brief
from worker.pipeline.equipment import Equipment
from worker.pipeline.generate_job import generate
from worker.pipeline.merge_job import merge
from worker.pipeline.pack_job import pack
from worker.timings import Timings


@dataclass(slots=True, kw_only=True)
class Pipeline(Equipment):
    """Runs one job to its last result row; how the job ends is the listener's to write.

    Raises Rejected, Unavailable, Cancelled, LeaseLost, Yielded, DeviceLost, QueueUnavailable.
    """

    async def run(
        self, job: Job, *, stopped: Callable[[], bool], draining: Callable[[], bool], timings: Timings
    ) -> None:
        """`stopped()`: the job was cancelled or lost; `draining()`: the worker wants to go. Both are asked often and cheap."""
        with tempfile.TemporaryDirectory(prefix="rhythmai-job-", dir=self.work_dir) as name:
            folder = Path(name)
            match job.kind:
                case Kind.MERGE:
                    await merge(job, folder, timings, self)
                case Kind.BRIEF:
                    await brief(job, folder, timings, self)
                case Kind.PACK:
                    await pack(job, folder, timings, self)
                case Kind.GENERATE:
                    await generate(job, folder, timings, self, stopped=stopped, draining=draining)
