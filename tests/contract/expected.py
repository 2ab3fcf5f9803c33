"""What a job must look like after everything that was done to it, the fuzz's own, much smaller idea of the queue, and what a stream tells of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

ENDED = {"completed", "failed", "cancelled"}
MEDIA = {"generate": "audio_url", "merge": "video_url", "pack": "pack_url", "brief": ""}


def events(answer: httpx.Response) -> Iterator[tuple[str, dict]]:
    """The events of a stream, up to the first state: what comes before that was there already."""
    lines = answer.iter_lines()
    for line in lines:
        if line.startswith("event: "):
            event, data = line.removeprefix("event: "), json.loads(next(lines).removeprefix("data: "))
            yield event, data
            if event == "job":
                ended = next(lines) == "id: end"
                assert ended == (data["status"] in ENDED)
                assert not ended or list(lines) == [""]  # that was all
                return


@dataclass
class Expected:
    """One job as its clients should see it."""

    id: str
    kind: str
    owner: str | None
    tenant: str
    total: int
    status: str = "pending"
    cancelling: bool = False
    stage: str | None = None
    results: dict[int, str] = field(default_factory=dict)
    error_code: str | None = None
    told: bool = False

    def may_be_seen_by(self, user: str | None) -> bool:
        return self.owner is None or self.owner == user

    def cancel(self) -> None:
        if self.status == "pending":
            self.status = "cancelled"
        elif self.status == "processing":
            self.cancelling = True

    def claim(self) -> None:
        assert self.status == "pending", self
        self.status = "processing"

    def end(self, code: str) -> None:
        """The worker's last word: the wish to cancel wins, then whatever came out."""
        self.stage = None
        if self.cancelling:
            self.status = "cancelled"
        elif self.results or self.told:
            self.status = "completed"
        else:
            self.status, self.error_code = "failed", code

    def compare(self, view: dict[str, Any]) -> None:
        """The answer of the API is this job, in every respect that can be known."""
        self.compare_state(view)
        self.compare_results(view["results"])
        assert view["kind"] == self.kind
        assert (view["brief"] is not None) == (self.told and self.status in ENDED)
        assert (view["queue_position"] is None) == (self.status != "pending")
        assert (view["finished_at"] is None) == (self.status not in ENDED)
        assert (view["started_at"] is None) <= (self.status in {"pending", "cancelled"})

    def compare_state(self, state: dict[str, Any]) -> None:
        """What the events of a job tell, too."""
        assert (state["job_id"], state["status"], state["stage"]) == (self.id, self.status, self.stage)
        assert (state["completed_count"], state["total_count"]) == (len(self.results), self.total)
        assert state["error_code"] == self.error_code
        assert (state["error"] is None) == (self.error_code is None)

    def compare_results(self, results: list[dict[str, Any]]) -> None:
        assert [result["index"] for result in results] == sorted(self.results)
        assert {result["index"]: result[MEDIA[self.kind]] for result in results} == self.results
