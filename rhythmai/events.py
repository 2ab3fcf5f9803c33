"""What `Client.watch` tells about a job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from uuid import UUID

from rhythmai.answers import ENDED, Job, PlannedTrack, Result, Standing

Via = Literal["realtime", "rest"]
"""How an event came: pushed, or found by asking."""


STAGES: Final = {None: 0, "fetching": 1, "describing": 2, "composing": 3, "hearing": 2, "merging": 3, "packing": 3}
"""The order in which a running job passes its stages; a stage that only a newer server knows comes last."""


class JobChanged(Standing):
    """The job moved on."""

    job_id: UUID
    via: Via


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultReady:
    """A track (or a merged video) is there; told once for each index."""

    job_id: UUID
    result: Result
    via: Via


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMade:
    """What the tracks will be is known; told once, before all of them."""

    job_id: UUID
    directions: tuple[PlannedTrack, ...]
    via: Via


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDeleted:
    """The job is gone, with its files: the last event."""

    job_id: UUID


Event = JobChanged | JobDeleted | PlanMade | ResultReady


@dataclass(slots=True)
class Story:
    """Turns answers and pushed payloads, which repeat each other, into events that do not."""

    job_id: UUID
    told: set[int] = field(default_factory=set)
    planned: bool = False
    standing: Standing | None = None

    def from_answer(self, job: Job) -> Iterator[Event]:
        """All that is new in a REST answer: the plan, then results, so that the end of the job is the last event."""
        if job.kind != "pack":  # its direction is that of a track that is there already
            yield from self._plan(job.directions, "rest")
        for result in job.results:
            yield from self._result(result, "rest")
        yield from self._standing(job, "rest")

    def from_payload(self, event: str, payload: dict[str, Any]) -> Iterator[Event]:
        """All that is new in a Realtime event; others than `plan`, `job` and `result` are of a newer server."""
        if event == "plan":
            yield from self._plan(tuple(map(PlannedTrack.model_validate, payload["directions"])), "realtime")
        elif event == "result":
            yield from self._result(Result.model_validate(payload), "realtime")
        elif event == "job":
            yield from self._standing(Standing.model_validate(payload), "realtime")

    def is_end(self, event: str, payload: dict[str, Any]) -> bool:
        """Whether a Realtime event says that the job has ended or is gone."""
        return event == "deleted" or (event == "job" and payload.get("status") in ENDED)

    def _plan(self, directions: tuple[PlannedTrack, ...], via: Via) -> Iterator[Event]:
        if directions and not self.planned:
            self.planned = True
            yield PlanMade(job_id=self.job_id, directions=directions, via=via)

    def _result(self, result: Result, via: Via) -> Iterator[Event]:
        if result.index not in self.told:
            self.told.add(result.index)
            yield ResultReady(job_id=self.job_id, result=result, via=via)

    def _standing(self, standing: Standing, via: Via) -> Iterator[Event]:
        # A count alone is no news: the result itself was told. A push may also be older than the answer before it.
        known = self.standing
        if known and (_is_behind(standing, known) or _same(standing, known)):
            return
        self.standing = standing
        yield JobChanged(job_id=self.job_id, via=via, **standing.model_dump(include=set(Standing.model_fields)))


def _same(one: Standing, other: Standing) -> bool:
    """Whether the first says nothing that the other does not."""
    told = one.waiting_for in {None, other.waiting_for} and one.preview_url in {None, other.preview_url}
    return told and (one.status, one.stage) == (other.status, other.stage)


def _is_behind(one: Standing, other: Standing) -> bool:
    """Whether it is an earlier moment of the same attempt, or of an ended job; a new attempt passes through pending."""
    before, after = STAGES.get(one.stage, 9), STAGES.get(other.stage, 9)
    return other.ended or (one.status == other.status == "processing" and before < after)
