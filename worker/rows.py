"""Rows of the queue as JSON, read leniently: a newer schema may tell more than this worker knows."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from worker.domain import Direction, Job, Kind, Lease, Options, Plan


class OptionsRow(BaseModel):
    """`jobs.options`; names a newer API may add are ignored."""

    model_config = ConfigDict(extra="ignore")

    seed: int | None = None
    duration: float | None = None
    negative_prompt: str | None = None
    conditioning: Any = "full"
    format: Any = "flac"
    steps: int | None = None
    guidance: float | None = None
    audio_url: str | None = None
    mode: Any = "replace"
    music_gain_db: float = 0.0
    duck: bool = False
    plan: list[dict[str, Any]] | None = None

    def options(self) -> Options:
        values = self.model_dump(exclude={"plan", "duration"})
        return Options(**values, duration_s=self.duration)


class JobRow(BaseModel):
    """What `queue.claim` answers."""

    model_config = ConfigDict(extra="ignore")

    id: UUID
    attempt: int
    worker_id: int
    kind: Kind
    lane: Any
    video_url: str
    user_request: str
    options: OptionsRow
    plan: dict[str, Any] | None
    total_count: int
    traceparent: str
    created_at: datetime
    claimed_at: datetime
    done: frozenset[int]

    def job(self) -> Job:
        return Job(
            lease=Lease(job_id=self.id, attempt=self.attempt, worker_id=self.worker_id),
            kind=self.kind,
            video_url=self.video_url,
            user_request=self.user_request,
            options=self.options.options(),
            total_count=self.total_count,
            lane=self.lane,
            plan=Plan.from_json(self.plan) if self.plan else None,
            asked_plan=tuple(_asked(i, raw) for i, raw in enumerate(self.options.plan or ())),
            done=self.done,
            traceparent=self.traceparent,
            waited_s=(self.claimed_at - self.created_at).total_seconds() if self.attempt == 1 else None,
        )


def _asked(index: int, raw: dict[str, Any]) -> Direction:
    """A hand-written direction; only the prompt is required, the rest has quiet defaults."""
    return Direction(
        title=raw.get("title") or f"Direction {index + 1}",
        prompt=raw["prompt"],
        description=raw.get("description") or "",
        genre=raw.get("genre") or "",
        instruments=tuple(raw.get("instruments") or ()),
        tempo_bpm=float(raw.get("tempo_bpm") or 100),
        key=raw.get("key") or "C major",
        mood=raw.get("mood") or "",
    )
