"""The loop of a worker: claim -> run -> settle -> sleep; drain on SIGTERM."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

import structlog

from rhythmai.project.trace import Attributes, Tracer, trace_id, untraced
from worker.domain import Job, Lease, Verdict
from worker.errors import (
    Cancelled,
    DeviceLost,
    DeviceStuck,
    LeaseLost,
    QueueClosed,
    QueueUnavailable,
    ServiceAway,
    Unavailable,
    WorkerError,
    Yielded,
)
from worker.ports import Queue
from worker.timings import Timings
from worker.wake import among_few, rest

log = structlog.get_logger()
MOST_BESIDE = 4
"""Jobs that need no slot, beside those that do."""
LONGEST = timedelta(minutes=1)
"""Between two claims that fail for a reason nobody foresaw."""
BUG = Unavailable("something went wrong inside the worker; it is logged there", code="internal")
"""What nobody foresaw may pass with another try, and its traceback is for us, not for the user."""


class RunJob(Protocol):
    """`Pipeline.run`."""

    def __call__(
        self, job: Job, *, stopped: Callable[[], bool], draining: Callable[[], bool], timings: Timings
    ) -> Awaitable[None]: ...


Observe = Callable[[Job, str, WorkerError | None, Timings], None]
"""Told how each attempt ended here (completed, cancelled, failed, released or lost), why, and what it took."""


class Watch(Protocol):
    """The heartbeat's side of a lease."""

    def hold(self, lease: Lease, on_stop: Callable[[Verdict], None]) -> None: ...

    def drop(self, lease: Lease) -> None: ...


@dataclass(slots=True, kw_only=True)
class Listener:
    """Keeps up to `slots` jobs in flight until it drains."""

    queue: Queue
    run_job: RunJob
    watch: Watch
    slots: int = 2
    poll_every: timedelta = timedelta(seconds=5)
    grace: timedelta = timedelta(seconds=60)
    fleet: Callable[[], int] = lambda: 1
    """How many workers share the queue."""
    beside: Callable[[], int] = lambda: 0
    """How many of those in flight need no slot any more."""
    observe: Observe = lambda *_: None
    tracer: Tracer = untraced
    engine: str = ""
    """What composes here, for spans."""
    patience: timedelta = timedelta(seconds=15)
    """How long a job that was told to stop may take; then the device counts as hung."""
    broken: WorkerError | None = field(default=None, init=False)
    """Why this process can work no more."""
    _awake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _ending: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _failures: int = field(default=0, init=False)
    """How many claims in a row failed for a reason nobody foresaw."""
    _running: dict[asyncio.Task[None], Job] = field(default_factory=dict, init=False)
    _settling: set[asyncio.Task[None] | None] = field(default_factory=set, init=False)
    """Those of them that write their end: what they have to say must not be lost."""

    def wake(self) -> None:
        """Shorten the sleep: work may have come."""
        self._awake.set()

    def drain(self) -> None:
        """Stop claiming; what runs may finish within the grace period, then it is handed back. A second call: now."""
        if self.draining:
            log.info("worker.hand_back_now", jobs=len(self._running))
            self._hand_back()
        self._ending.set()
        self.wake()

    def give_up(self, error: WorkerError) -> None:
        """This process can work no more: it hands back at once what runs here, and ends."""
        if self.broken is not None:  # what runs has been told, and writes its end
            return
        self.broken = error
        self._ending.set()
        self._hand_back()
        self.wake()

    def _hand_back(self) -> None:
        for task in self._running.keys() - self._settling - {asyncio.current_task()}:
            task.cancel()

    @property
    def running(self) -> int:
        """How many jobs are in flight."""
        return len(self._running)

    @property
    def _free(self) -> bool:
        return len(self._running) - min(self.beside(), MOST_BESIDE) < self.slots

    @property
    def draining(self) -> bool:
        return self._ending.is_set()

    async def listen(self) -> None:
        """Run until drained."""
        while not self.draining:
            # Cleared before the claim: a wake-up that comes during it must cost one more look, not be lost.
            self._awake.clear()
            sleep = await self.poll()
            ends_sleep = self._ending if self._failures else self._awake
            with suppress(TimeoutError):
                await asyncio.wait_for(ends_sleep.wait(), sleep.total_seconds())
        await self._finish_running()

    async def poll(self) -> timedelta:
        """Fill the free slots; answer how long to sleep unless something wakes us. Raises nothing: whatever goes wrong may pass."""
        sleep = rest(self.poll_every, self.fleet())
        try:
            while self._free and not self.draining:
                job = await self.queue.claim()
                if job is None:
                    break
                task = asyncio.create_task(self._work(job), name=f"job {job.lease.job_id}")
                self._running[task] = job
                task.add_done_callback(self._done)
            due = await self.queue.next_due() if self._free else None  # a job that ends wakes us
        except QueueUnavailable as error:
            log.warning("queue.unavailable", error=str(error))
            due = None
        except QueueClosed as error:
            self.give_up(error)
            return sleep
        except Exception:
            self._failures += 1
            sleep = min(sleep * 2.0 ** min(self._failures - 1, 10), max(sleep, LONGEST))
            log.exception("queue.bug", again_in_s=round(sleep.total_seconds(), 1))
            return sleep
        self._failures = 0
        if due is None or not among_few(self.fleet()):
            return sleep
        return min(sleep, due + timedelta(milliseconds=random.uniform(0, 50)))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._settling.discard(task)
        self.wake()

    async def _finish_running(self) -> None:
        if not self._running:
            return
        log.info("worker.draining", jobs=len(self._running), grace_s=self.grace.total_seconds())
        _, late = await asyncio.wait(self._running, timeout=self.grace.total_seconds())
        self._hand_back()
        if late:
            _, stuck = await asyncio.wait(late, timeout=2 * self.patience.total_seconds())
            if stuck:  # the database is away, too; what we hold is taken from us when our lease ends
                log.warning("worker.left_behind", jobs=len(stuck))

    async def _work(self, job: Job) -> None:
        structlog.contextvars.bind_contextvars(
            job=str(job.lease.job_id), attempt=job.lease.attempt, trace_id=trace_id(job.traceparent)
        )
        about: Attributes = {
            "rhythmai.job_id": str(job.lease.job_id),
            "rhythmai.attempt": job.lease.attempt,
            "rhythmai.engine": self.engine,
        }
        with self.tracer(f"job {job.kind.value}", parent=job.traceparent, kind="consumer", attributes=about) as span:
            timings = Timings(span=lambda stage: self.tracer(stage, attributes=about))
            log.info("job.started", kind=job.kind.value, lane=job.lane, done=len(job.done))
            with timings.timed("total"):
                outcome = await self._outcome(job, timings)
            self._settling.add(asyncio.current_task())
            ended, outcome = await self._ended(job, outcome)
            span.tell({"rhythmai.outcome": ended})
            if ended in {"failed", "lost"} and outcome is not None:
                span.fail(outcome.code)
        self.watch.drop(job.lease)  # only now: the heart hands back what it does not know of
        why = {} if outcome is None else {"error": str(outcome), "code": outcome.code}
        log.info("lease.lost" if ended == "lost" else f"job.{ended}", seconds=timings.seconds, **why)
        self.observe(job, ended, outcome, timings)

    async def _outcome(self, job: Job, timings: Timings) -> WorkerError | None:
        """Run the job beside its stop signal; an error is an outcome, None is success."""
        loop = asyncio.get_running_loop()
        stop: asyncio.Future[Verdict] = loop.create_future()

        def tell(verdict: Verdict) -> None:
            if not stop.done():
                stop.set_result(verdict)

        def on_stop(verdict: Verdict) -> None:  # called in the heartbeat's thread
            loop.call_soon_threadsafe(tell, verdict)

        self.watch.hold(job.lease, on_stop)
        work = asyncio.ensure_future(
            self.run_job(job, stopped=stop.done, draining=self._ending.is_set, timings=timings)
        )
        try:
            both: list[asyncio.Future[Any]] = [work, stop]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return _sorted(work.exception())
            await self._stop(work)
            lost = stop.result() == "lost"
            return LeaseLost("another attempt owns the job") if lost else Cancelled("the user cancelled the job")
        except asyncio.CancelledError:
            # The grace period is over, or the worker gives up: hand the job back, but for the one that was the reason.
            await self._stop(work)
            error = work.exception() if work.done() and not work.cancelled() else None
            return error if isinstance(error, DeviceLost) else Yielded("the worker stops")
        finally:
            if not stop.done():
                stop.cancel()

    async def _stop(self, work: asyncio.Future[None]) -> None:
        work.cancel()
        done, _ = await asyncio.wait({work}, timeout=self.patience.total_seconds())
        if not done or (not work.cancelled() and isinstance(work.exception(), DeviceLost)):
            self.give_up(DeviceLost("a job that was told to stop does not: the device hangs"))

    async def _ended(self, job: Job, outcome: WorkerError | None) -> tuple[str, WorkerError | None]:
        """How the attempt ended, and why. Never raises: a job whose end cannot be written would be held until its deadline."""
        try:
            return await self._settle(job, outcome), outcome
        except (LeaseLost, QueueUnavailable, QueueClosed) as error:
            # With the database away for long the lease runs out and somebody else takes the job; nothing is written twice.
            return "lost", error
        except Exception:
            log.exception("job.bug")
            return ("lost", BUG) if outcome is BUG else await self._ended(job, BUG)

    async def _settle(self, job: Job, outcome: WorkerError | None) -> str:
        """One fenced write ends the attempt; returns completed, cancelled, released, failed or lost."""
        match outcome:
            case None:
                await self.queue.finish(job.lease)
                return "completed"
            case LeaseLost():
                return "lost"
            case Cancelled():
                await self.queue.finish(job.lease)
                return "cancelled"
            case DeviceStuck():
                self.give_up(outcome)
                await self.queue.release(job.lease)
                return "released"
            case DeviceLost():
                self.give_up(outcome)
                await self.queue.crash(job.lease, code=outcome.code, message=str(outcome))
                return "released"
            case Yielded():
                await self.queue.release(job.lease)
                return "released"
            case _:
                burn = not isinstance(outcome, ServiceAway | QueueUnavailable)
                await self.queue.fail(
                    job.lease, code=outcome.code, message=str(outcome), again=outcome.may_pass, burn=burn
                )
                return "failed"


def _sorted(error: BaseException | None) -> WorkerError | None:
    """Errors by remedy."""
    if error is None or isinstance(error, WorkerError):
        return error
    log.error("job.bug", exc_info=error)
    return BUG
