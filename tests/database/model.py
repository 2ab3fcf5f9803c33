"""What a job must look like whatever happened, in a few lines, and what a worker was given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.database.desk import Worker

ENDED = ("completed", "failed", "cancelled")
MAX_CRASHES = 2


@dataclass
class Model:
    """What a job must look like."""

    total: int
    hook: bool
    engine: str
    lane: str
    priority: int
    status: str = "pending"
    attempt: int = 0
    max_attempts: int = 3
    crashes: int = 0
    holder: int | None = None
    overdue: bool = False
    cancelling: bool = False
    unknown: bool = False
    """Its worker does not know that it holds it."""
    results: dict[int, int] = field(default_factory=dict)
    """Index to the attempt that wrote it."""

    def end_attempt(self, *, again: bool) -> None:
        self.holder, self.overdue, self.unknown = None, False, False
        if self.cancelling:
            self.status = "cancelled"
        elif again:
            self.status = "pending"
        else:
            self.status = "completed" if self.results else "failed"

    def taken_away(self) -> None:
        self.crashes += 1
        self.end_attempt(again=self.crashes < MAX_CRASHES and self.attempt < self.max_attempts)

    def may_go_to(self, worker: Worker) -> bool:
        return self.engine == "" or self.engine in worker.engines

    @property
    def place(self) -> tuple[bool, int]:
        """Who of those that wait goes first, whatever their engines: the lowest, and among equals the lowest turn."""
        return self.lane == "batch", -self.priority

    def row(self) -> tuple[Any, ...]:
        return (self.status, self.attempt, self.max_attempts, self.crashes, self.holder, self.cancelling, self.results,
                self.hook and self.status in ENDED)  # fmt: skip


@dataclass(frozen=True)
class Lease:
    """What a worker was given once; it may long be over."""

    job: UUID
    attempt: int
    worker: Worker

    @property
    def fields(self) -> dict[str, Any]:
        return {"id": self.job, "attempt": self.attempt}
