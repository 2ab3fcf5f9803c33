"""What a job must look like after everything that was done to it: the fuzz's own, much smaller idea of the queue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ENDED = {"completed", "failed", "cancelled"}


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
        elif self.results:
            self.status = "completed"
        else:
            self.status, self.error_code = "failed", code

    def compare(self, view: dict[str, Any]) -> None:
        """The answer of the API is this job, in every respect that can be known."""
        media = "video_url" if self.kind == "merge" else "audio_url"
        assert view["job_id"] == self.id
        assert (view["kind"], view["status"], view["stage"]) == (self.kind, self.status, self.stage)
        assert (view["completed_count"], view["total_count"]) == (len(self.results), self.total)
        assert {result["index"]: result[media] for result in view["results"]} == self.results
        assert [result["index"] for result in view["results"]] == sorted(self.results)
        assert view["error_code"] == self.error_code
        assert (view["error"] is None) == (self.error_code is None)
        assert (view["queue_position"] is None) == (self.status != "pending")
        assert (view["finished_at"] is None) == (self.status not in ENDED)
        assert (view["started_at"] is None) <= (self.status in {"pending", "cancelled"})
