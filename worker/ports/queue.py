"""What is asked of the database: the queue, and what is done for jobs that have ended."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Protocol

from worker.domain import Delivery, Job, Lease, Licence, Plan, Result, Speech, Stage
from worker.wake import Wake


class Queue(Protocol):
    """The jobs table, through its SQL functions. Every write raises LeaseLost or Cancelled when refused, QueueUnavailable when away."""

    async def claim(self) -> Job | None:
        """Take the next job, or None. Requeues the jobs of dead workers first."""

    async def next_due(self) -> timedelta | None:
        """How long until a backed-off job becomes ready; None when none waits."""

    async def set_stage(self, lease: Lease, stage: Stage, made_with: str | None = None) -> None:
        """Say where the job stands, and once what composes it, engine and model; how long that takes is known by it."""

    async def note(self, lease: Lease, sentence: str) -> None:
        """Tell the user what went otherwise than asked; saying it again changes nothing."""

    async def set_preview(self, lease: Lease, url: str) -> None:
        """Say where the film is that browsers play; the first one said holds."""

    async def put_speech(self, lease: Lease, speech: Speech) -> None:
        """Tell where somebody speaks in the film, as far as it was heard."""

    async def put_brief(self, lease: Lease, brief: dict[str, Any]) -> None:
        """Tell what a brief has found in the film, as the contract shows it; the first one told holds."""

    async def known_speech(self, lease: Lease) -> Speech | None:
        """What another job of the same film and the same owner has heard of it, if it heard it to its end."""

    async def music_licence(self, lease: Lease) -> Licence | None:
        """Of the track that a merge was asked for; None when it is none of ours."""

    async def save_plan(self, lease: Lease, plan: Plan) -> Plan:
        """Save the plan unless one is there; return the one that holds."""

    async def put_result(self, lease: Lease, result: Result) -> None: ...

    async def finish(self, lease: Lease) -> None:
        """End the job: completed when at least one result, or its brief, is there, else failed."""

    async def fail(self, lease: Lease, *, code: str, message: str, again: bool, burn: bool = True) -> None:
        """Report an error: with `again` the job is retried with backoff while attempts are left; without `burn` this one does not count."""

    async def crash(self, lease: Lease, *, code: str, message: str) -> None:
        """Hand back a job under which the device broke: it is retried elsewhere, but two such crashes end it."""

    async def release(self, lease: Lease) -> None:
        """Hand the job back as if it had not been claimed (drain, yield)."""

    async def interactive_waiting(self) -> bool:
        """Whether interactive work waits that we could do: a batch job then yields before it is composed."""


class Outbox(Protocol):
    """The webhooks that ended jobs have earned. Raises QueueUnavailable when the database is away."""

    async def claim_delivery(self) -> Delivery | None:
        """Take the next delivery that is due, or None."""

    async def settle_delivery(
        self, delivery: Delivery, *, delivered: bool, error: str | None, again: bool, wait_s: float = 0
    ) -> None:
        """Say how a try went; a lost lease is nothing to worry about, since another worker tries."""


class Retention(Protocol):
    """What is to be forgotten. Raises QueueUnavailable when the database is away."""

    async def tidy(self) -> list[tuple[str, str]]:
        """Forget jobs that ended longer ago than they are kept; return the (bucket, path) of objects that nobody needs, none if another worker has just asked."""

    async def deleted(self, bucket: str, paths: Sequence[str]) -> None:
        """Storage has deleted them."""


class WakeUps(Protocol):
    """Something that may shorten a sleep. Hints only: the truth is the claim."""

    async def run(self, wake: Callable[[Wake], None]) -> None:
        """Call `wake` whenever work may have come, also after every (re)connect; reconnects for ever, until cancelled."""
