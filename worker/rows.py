"""Rows of the queue as JSON, read leniently: a newer schema, and a newer worker that saved a plan, may tell more than this one
knows. What it does not know is ignored.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import AliasPath, BaseModel, Field, TypeAdapter, field_validator

from worker.domain import Delivery, Direction, Job, Kind, Lease, Licence, Options, Plan, Speech

PLAN = TypeAdapter(Plan)
SPEECH = TypeAdapter(Speech)
LICENCE = TypeAdapter(Licence)
DELIVERY = TypeAdapter(Delivery)


class JobRow(BaseModel):
    """What `queue.claim` answers."""

    id: UUID
    attempt: int
    worker_id: int
    kind: Kind
    lane: str
    engine: str = ""
    video_url: str
    user_request: str
    options: Options
    asked_plan: list[dict[str, Any]] | None = Field(default=None, validation_alias=AliasPath("options", "plan"))
    plan: Plan | None
    total_count: int
    traceparent: str
    created_at: datetime
    claimed_at: datetime
    done: frozenset[int]
    announced_bytes: int | None = None

    @field_validator("options", mode="before")
    @classmethod
    def _with_units(cls, options: dict[str, Any]) -> dict[str, Any]:
        named = _in_seconds(options)
        for name in ("hits", "segments"):
            if options.get(name) is not None:
                named[name] = [_in_seconds(raw) for raw in options[name]]
        if options.get("mend") is not None:
            named["mend"] = _in_seconds(options["mend"])
        return named

    def job(self) -> Job:
        return Job(
            lease=Lease(job_id=self.id, attempt=self.attempt, worker_id=self.worker_id),
            kind=self.kind,
            video_url=self.video_url,
            user_request=self.user_request,
            options=self.options,
            total_count=self.total_count,
            lane=self.lane,
            engine=self.engine,
            plan=self.plan,
            asked_plan=tuple(_asked(i, raw) for i, raw in enumerate(self.asked_plan or ())),
            done=self.done,
            announced_bytes=self.announced_bytes,
            traceparent=self.traceparent,
            waited_s=(self.claimed_at - self.created_at).total_seconds() if self.attempt == 1 else None,
        )


def _in_seconds(raw: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}_s" if name in ("at", "start", "end", "duration") else name: value for name, value in raw.items()}


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
