"""What `Client.watch` tells about a job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from rhythmai.answers import ENDED, Job, Result, Status

Via = Literal["realtime", "rest"]
"""How an event came: pushed, or found by asking."""


class Standing(BaseModel):
    """The payload of the Realtime event `job`: where a job stands, without its results."""

    status: Status
    stage: str | None = None
    completed_count: int = 0
    total_count: int = 0
    error: str | None = None
    error_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChanged:
    """The job moved on."""

    job_id: UUID
    status: Status
    stage: str | None
    completed_count: int
    total_count: int
    error: str | None
    error_code: str | None
    via: Via

    @property
    def ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultReady:
    """A track (or a merged video) is there; told once for each index."""

    job_id: UUID
    result: Result
    via: Via


Event = JobChanged | ResultReady


@dataclass(slots=True)
class Story:
    """Turns answers and pushed payloads, which repeat each other, into events that do not."""

    job_id: UUID
    told: set[int] = field(default_factory=set)
    standing: Standing | None = None

    def from_answer(self, job: Job) -> Iterator[Event]:
        """All that is new in a REST answer: results first, so that the end of the job is the last event."""
        for result in job.results:
            yield from self._result(result, "rest")
        yield from self._standing(Standing.model_validate(job, from_attributes=True), "rest")

    def from_payload(self, event: str, payload: dict[str, Any]) -> Iterator[Event]:
        """All that is new in a Realtime event; others than `job` and `result` are of a newer server."""
        if event == "result":
            yield from self._result(Result.model_validate(payload), "realtime")
        elif event == "job":
            yield from self._standing(Standing.model_validate(payload), "realtime")

    def is_end(self, event: str, payload: dict[str, Any]) -> bool:
        """Whether a Realtime event says that the job has ended."""
        return event == "job" and payload.get("status") in ENDED

    def _result(self, result: Result, via: Via) -> Iterator[Event]:
        if result.index not in self.told:
            self.told.add(result.index)
            yield ResultReady(job_id=self.job_id, result=result, via=via)

    def _standing(self, standing: Standing, via: Via) -> Iterator[Event]:
        # A count alone is no news: the result itself was told.
        if self.standing is None or (standing.status, standing.stage) != (self.standing.status, self.standing.stage):
            self.standing = standing
            yield JobChanged(job_id=self.job_id, via=via, **standing.model_dump())
