"""PostgresQueue: the jobs table through its SQL functions, on asyncpg."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

import asyncpg
import structlog

from rhythmai.project.dsn import connect_arguments, left_as_it_was
from rhythmai.project.trace import Tracer, function_of, trace_id, untraced
from worker.database import APPLICATION, AWAY, HOPELESS, UNFIT, patiently
from worker.domain import Delivery, Job, Lease, Licence, Plan, Result, Speech, Stage
from worker.errors import Cancelled, LeaseLost, Misconfigured, QueueClosed, QueueUnavailable
from worker.rows import DELIVERY, LICENCE, PLAN, SPEECH, JobRow

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class PostgresQueue:
    """Implements `ports.Queue`. Fenced writes are repeated while the database is away: they are idempotent."""

    pool: asyncpg.Pool
    worker_id: int
    kinds: tuple[str, ...]
    job_timeout: timedelta
    tracer: Tracer
    fleet: int = field(default=1, init=False)
    """How many workers share the queue, as `next_due` was told last."""

    @classmethod
    async def connect(
        cls,
        dsn: str,
        *,
        name: str,
        kinds: tuple[str, ...],
        engines: tuple[str, ...],
        version: str,
        lease: timedelta,
        job_timeout: timedelta,
        connections: int = 2,
        tracer: Tracer = untraced,
    ) -> Self:
        """Open the pool and enter the worker in `workers`; waits with backoff while the database is away.

        Raises Misconfigured when the database refuses us for good, QueueUnavailable when it stays away.
        """

        async def open_and_register() -> Self:
            try:
                pool = await asyncpg.create_pool(
                    min_size=1, max_size=connections, timeout=10, command_timeout=30, reset=left_as_it_was,
                    **connect_arguments(dsn, APPLICATION),
                )  # fmt: skip
            except FileNotFoundError:
                raise Misconfigured("DATABASE_URL names a file that is not there: check sslrootcert") from None
            except HOPELESS as error:
                raise Misconfigured(f"DATABASE_URL does not let us in: {error}") from None
            except asyncpg.InternalServerError as error:
                if "not found" not in str(error):
                    raise
                raise Misconfigured(
                    f"DATABASE_URL does not let us in: {error}; at Supabase's pooler the user is postgres.REF"
                ) from None
            except OSError as error:  # it may come yet
                raise QueueUnavailable(f"no answer from the host of DATABASE_URL: {error or 'too late'}") from error
            try:
                worker_id = await pool.fetchval(
                    "select queue.register($1, $2, $3, $4, $5)", name, list(kinds), list(engines), version, lease
                )
            except BaseException:
                pool.terminate()
                raise
            return cls(pool=pool, worker_id=worker_id, kinds=kinds, job_timeout=job_timeout, tracer=tracer)

        try:
            return await patiently(open_and_register)
        except UNFIT as error:
            raise Misconfigured(f"the database lacks our migrations ({error}): run `rhythmai migrate`") from None

    async def close(self) -> None:
        """Hand back what is held, sign off, close the pool. Does not raise when the database is away."""
        with suppress(QueueUnavailable, QueueClosed):
            await self._ask("select queue.leave($1)", self.worker_id)
        with suppress(*AWAY):
            await asyncio.wait_for(self.pool.close(), 5)

    async def ready(self, engine: str) -> None:
        await patiently(lambda: self._ask("select queue.ready($1, $2)", self.worker_id, engine))

    async def claim(self) -> Job | None:
        while (raw := await self._ask("select queue.claim($1, $2)", self.worker_id, self.job_timeout)) is not None:
            try:
                return JobRow.model_validate_json(raw).job()
            except (ValueError, LookupError, TypeError) as error:  # pydantic's is a ValueError
                # A row that we cannot read must not travel from worker to worker and end each of them.
                await self._refuse(json.loads(raw), error)
        return None

    async def _refuse(self, row: dict[str, Any], error: Exception) -> None:
        lease = Lease(job_id=UUID(row["id"]), attempt=row["attempt"], worker_id=self.worker_id)
        log.error("job.unreadable", job=row["id"], trace_id=trace_id(row["traceparent"]), error=str(error))
        reason = "the options or the plan of this job cannot be read; insert it anew with the fields of the contract"
        with suppress(LeaseLost, Cancelled):
            await self.fail(lease, code="bad_options", message=reason, again=False)

    async def next_due(self) -> timedelta | None:
        seconds, fleet = await self._ask("select array[(select queue.next_due()), (select queue.fleet())]")
        self.fleet = int(fleet)
        return None if seconds is None else timedelta(seconds=seconds)

    async def set_stage(self, lease: Lease, stage: Stage, made_with: str | None = None) -> None:
        await self._write("select queue.set_stage($1, $2, $3, $4, $5)", lease, stage.value, made_with)

    async def note(self, lease: Lease, sentence: str) -> None:
        await self._write("select queue.note($1, $2, $3, $4)", lease, sentence)

    async def set_preview(self, lease: Lease, url: str) -> None:
        await self._write("select queue.set_preview($1, $2, $3, $4)", lease, url)

    async def put_speech(self, lease: Lease, speech: Speech) -> None:
        await self._write("select queue.put_speech($1, $2, $3, $4::jsonb)", lease, json.dumps(asdict(speech)))

    async def put_brief(self, lease: Lease, brief: dict[str, Any]) -> None:
        await self._write("select queue.put_brief($1, $2, $3, $4::jsonb)", lease, json.dumps(brief))

    async def known_speech(self, lease: Lease) -> Speech | None:
        raw = await patiently(lambda: self._ask("select queue.known_speech($1)", lease.job_id))
        return None if raw is None else SPEECH.validate_json(raw)

    async def music_licence(self, lease: Lease) -> Licence | None:
        raw = await patiently(lambda: self._ask("select queue.music_licence($1)", lease.job_id))
        return None if raw is None else LICENCE.validate_json(raw)

    async def save_plan(self, lease: Lease, plan: Plan) -> Plan:
        answer = await patiently(
            lambda: self._ask(
                "select to_jsonb(s) from queue.save_plan($1, $2, $3, $4::jsonb) s",
                lease.job_id, lease.attempt, lease.worker_id, json.dumps(asdict(plan)),
            )
        )  # fmt: skip
        saved = json.loads(answer)
        _heed(saved["verdict"], lease)
        return PLAN.validate_python(saved["plan"])

    async def put_result(self, lease: Lease, result: Result) -> None:
        row = asdict(result)
        row["duration"] = row.pop("duration_s")
        await self._write("select queue.put_result($1, $2, $3, $4::jsonb)", lease, json.dumps(row))

    async def finish(self, lease: Lease) -> None:
        await self._write("select queue.finish($1, $2, $3)", lease)

    async def fail(self, lease: Lease, *, code: str, message: str, again: bool, burn: bool = True) -> None:
        await self._write("select queue.fail($1, $2, $3, $4, $5, $6, $7)", lease, code, message, again, burn)

    async def crash(self, lease: Lease, *, code: str, message: str) -> None:
        await self._write("select queue.crash($1, $2, $3, $4, $5)", lease, code, message)

    async def release(self, lease: Lease) -> None:
        await self._write("select queue.release($1, $2, $3)", lease)

    async def tidy(self) -> list[tuple[str, str]]:
        found = await self._ask("select jsonb_agg(jsonb_build_array(bucket, path)) from queue.tidy()")
        return [(bucket, path) for bucket, path in json.loads(found or "[]")]

    async def deleted(self, bucket: str, paths: Sequence[str]) -> None:
        await self._ask("select queue.deleted($1, $2)", bucket, list(paths))

    async def interactive_waiting(self) -> bool:
        return bool(await self._ask("select queue.interactive_waiting($1)", self.worker_id))

    async def claim_delivery(self) -> Delivery | None:
        raw = await self._ask("select queue.claim_delivery($1)", self.worker_id)
        return None if raw is None else DELIVERY.validate_json(raw)

    async def settle_delivery(
        self, delivery: Delivery, *, delivered: bool, error: str | None, again: bool, wait_s: float = 0
    ) -> None:
        await patiently(
            lambda: self._ask(
                "select queue.settle_delivery($1, $2, $3, $4, $5, $6, $7)",
                delivery.id, delivery.attempt, self.worker_id, delivered, error, again, wait_s,
            )
        )  # fmt: skip

    async def _write(self, call: str, lease: Lease, *arguments: object) -> None:
        verdict = await patiently(lambda: self._ask(call, lease.job_id, lease.attempt, lease.worker_id, *arguments))
        _heed(verdict, lease)

    async def _ask(self, call: str, *arguments: object) -> Any:
        try:
            with self.tracer(function_of(call), kind="client", attributes={"db.system.name": "postgresql"}):
                return await self.pool.fetchval(call, *arguments)
        except AWAY as error:
            if self.pool.is_closing():
                raise QueueClosed("the pool of connections is closed") from error
            raise QueueUnavailable(f"the database cannot be reached: {error or type(error).__name__}") from error
        except (*UNFIT, *HOPELESS) as error:
            # Somebody is migrating it, or lays grants and passwords anew: not a reason to throw loaded models away.
            raise QueueUnavailable(f"the database is not as we know it: {error}") from error


def _heed(verdict: str, lease: Lease) -> None:
    if verdict == "cancelled":
        raise Cancelled(f"job {lease.job_id} was cancelled")
    if verdict != "ok":
        raise LeaseLost(f"attempt {lease.attempt} of job {lease.job_id} is not ours any more")
