"""Disk: room for the files of running jobs, and for the weights."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from rhythmai.doctor.finding import Finding, fail, note, ok
from worker.settings import Settings

CHECK: Final = "disk"
FRAMES_BYTES_A_S: Final = 7.3e6


async def examine(settings: Settings) -> list[Finding]:
    folder = settings.work_dir or Path(tempfile.gettempdir())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return [fail(CHECK, f"{folder} is no folder we may write to", "Set WORK_DIR to one")]
    free = shutil.disk_usage(folder).free
    # A merge holds two downloads and what it makes of them, also signed; MMAudio beside a video the frames it looks at.
    merge = (4 if settings.c2pa_cert else 3) * settings.max_bytes
    frames = FRAMES_BYTES_A_S * settings.max_duration_s
    need = int(settings.worker_slots * max(merge, settings.max_bytes + frames))
    said = f"{_gb(free)} free in {folder}; {settings.worker_slots} jobs of the largest size take {_gb(need)}"
    if free < settings.max_bytes:
        return [fail(CHECK, said, "Make room, or set WORK_DIR to another disk")]
    return [note(CHECK, said, "Make room, or lower WORKER_SLOTS or MAX_BYTES") if free < need else ok(CHECK, said)]


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
