"""Looking at a video to the end."""

from __future__ import annotations

from pathlib import Path

from worker.domain import Clip
from worker.pipeline.look.look import ChildLooker


async def look(path: Path, duration_s: float | None = None, looker: ChildLooker | None = None) -> Clip:
    """What is known of a video after the longest look."""
    *_, clip = [clip async for clip in (looker or ChildLooker()).look(path, duration_s)]
    return clip
