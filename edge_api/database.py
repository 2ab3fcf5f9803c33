"""Database: the SQL functions of schema queue, by name. Whatever Postgres says is translated here."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self
from uuid import UUID

import asyncpg
import structlog

from edge_api.problems import Problem
from edge_api.settings import Misconfigured
from edge_api.views import Answer, Asked, Views
from rhythmai.project.dsn import connect_arguments, left_as_it_was
from rhythmai.project.trace import Tracer, function_of, untraced

log = structlog.get_logger()

AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalServerError,  # Supabase's pooler says with it that it has no connection to give
    asyncpg.InvalidTransactionStateError,  # read-only: a replica, or a primary no more
    asyncpg.TransactionRollbackError,  # deadlock, serialization
    asyncpg.PostgresSystemError,  # its disk
)
UNFIT: Final = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.SyntaxOrAccessError,
)
"""The database answers but will not do: a wrong password, no such database, no migrations, no rights."""
View = dict[str, Any]
"""A job as GET /api/v1/job/{job_id} answers it."""
HOPELESS: Final = (asyncpg.ClientConfigurationError, ssl.SSLCertVerificationError)
"""What connecting meets when DATABASE_URL has to change."""
APPLICATION: Final = "rhythmai api"
CONNECT_S: Final = 5
RETRY_AFTER_S: Final = 5
RETRY_AFTER_FLOOD_S: Final = 10
MAX_CONNECTIONS: Final = 10
PATIENCE_S: Final = 10
"""How long a request waits for a connection of the pool when all are busy."""


async def refuse_hopeless(url: str) -> None:
    """Try to connect, once. Raises Misconfigured where no other try will help; a database that is away is none of that."""
    try:
        connection = await asyncpg.connect(timeout=CONNECT_S, **connect_arguments(url, APPLICATION))
        await connection.close(timeout=CONNECT_S)
    except HOPELESS as error:
        raise Misconfigured(f"DATABASE_URL does not let us in: {_said(error)}") from None
    except FileNotFoundError:
        raise Misconfigured("DATABASE_URL names a file that is not there: check sslrootcert") from None
    except (*AWAY, asyncpg.PostgresError) as error:
        log.warning("database.away", error=_said(error))


class Database:
    """A pool that opens connections when they are needed: a database that is away, at the start or later, is a 503 until it is back."""

    def __init__(self, pool: asyncpg.Pool, tracer: Tracer, *, commercial_only: bool = False) -> None:
        """With `commercial_only` jobs for an engine whose music may not be used commercially are refused."""
        self._pool = pool
        self._commercial_only = commercial_only
        self._tracer = tracer
        self._views = Views(self._view_all)

    @classmethod
    async def open(cls, url: str, *, tracer: Tracer = untraced, commercial_only: bool = False) -> Self:
        """Make the pool; connects to nothing yet."""
        pool = await asyncpg.create_pool(
            min_size=0, max_size=MAX_CONNECTIONS, timeout=CONNECT_S, command_timeout=15, reset=left_as_it_was,
            **connect_arguments(url, APPLICATION),
        )  # fmt: skip
        return cls(pool, tracer, commercial_only=commercial_only)

    async def close(self) -> None:
        try:
            async with asyncio.timeout(5):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def submit(
        self,
        kind: str,
        video_url: str,
        user_request: str,
        options: dict[str, Any],
        *,
        owner: UUID | None,
        client: str,
        key: str | None,
        traceparent: str,
    ) -> UUID:
        """Insert a job and return its id. Raises Problem: too_many_jobs, idempotency_mismatch, invalid_request."""
        job: UUID = await self._ask(
            "select queue.submit($1, $2, $3, $4::jsonb, $5, $6, $7, $8, p_commercial_only => $9)",
            kind, video_url, user_request, json.dumps(options), owner, client, key, traceparent, self._commercial_only,
        )  # fmt: skip
        return job

    async def again(
        self,
        job: UUID,
        *,
        seed: int | None,
        variant: int | None,
        engine: str | None,
        part: tuple[float | None, float | None],
        owner: UUID | None,
        client: str,
        key: str | None,
        traceparent: str,
    ) -> UUID | None:
        """Insert a job like `job`, or one that makes a part of its track anew, from start to end in seconds; None when the caller may not
        see that job. Raises Problem like submit, and not_ready, cannot_mend."""
        made: UUID | None = await self._ask(
            "select queue.again($1, $2, $3, $4, $5, $6, $7, p_commercial_only => $8, p_engine => $9, p_start => $10, p_end => $11)",
            job, owner, seed, variant, client, key, traceparent, self._commercial_only, engine, *part,
        )  # fmt: skip
        return made

    async def pack(
        self,
        job: UUID,
        *,
        variant: int | None,
        owner: UUID | None,
        client: str,
        key: str | None,
        traceparent: str,
    ) -> UUID | None:
        """Insert a job that packs a track of `job`; None when the caller may not see that one. Raises Problem like submit, and not_ready."""
        made: UUID | None = await self._ask(
            "select queue.pack($1, $2, $3, $4, $5, $6)", job, owner, variant, client, key, traceparent
        )
        return made

    async def view(self, job: UUID, user: UUID | None) -> str | None:
        """The job as JSON text, None when there is none for this caller."""
        return await self._views.of(job, user)

    async def _view_all(self, asked: Sequence[Asked], seen: Sequence[str]) -> list[Answer | None]:
        """No span: it belongs to many requests, and streams look for as long as a job takes."""
        jobs, users = [job for job, _ in asked], [user for _, user in asked]
        told: list[str] = await self._ask(
            "select array(select concat(version, '\n', progress, '\n', answer) from queue.views($1, $2, $3))",
            jobs, users, seen, tracer=untraced,
        )  # fmt: skip
        answers = [tuple(one.split("\n")) for one in told]
        return [(version, progress, answer) if version or answer else None for version, progress, answer in answers]

    async def moved(self, seen: Mapping[UUID, str | None]) -> list[tuple[UUID, str | None, View | None]]:
        """Those of the jobs that are at another version than was seen, with it and the job; both are None of one that is gone."""
        answer = await self._ask(
            "select queue.moved($1::uuid[], $2::text[])", list(seen), list(seen.values()), tracer=untraced
        )
        return [(UUID(job), version, view) for job, version, view in json.loads(answer)]

    async def cancel(self, job: UUID, user: UUID | None) -> str | None:
        """Cancel, and answer like view."""
        text: str | None = await self._ask("select queue.cancel($1, $2)", job, user)
        return text

    async def erase(self, job: UUID, user: UUID | None) -> str | None:
        """Delete with all files, and answer with the job as it was last."""
        text: str | None = await self._ask("select queue.erase($1, $2)", job, user)
        return text

    async def page(self, user: UUID, status: str | None, cursor: str | None, limit: str | None) -> str:
        """A page of the user's jobs as JSON text. Raises Problem: invalid_request."""
        text: str = await self._ask("select queue.list($1, $2, $3, $4)", user, status, cursor, limit)
        return text

    async def key_of(self, hash: str) -> UUID | None:
        """The id of a server's key; None when it is unknown or revoked."""
        key: UUID | None = await self._ask("select queue.key_of($1)", hash)
        return key

    async def take_upload(self, path: str, size: int, *, owner: UUID | None, client: str) -> None:
        """A ticket for an upload of so many bytes. Raises Problem: too_many_uploads."""
        await self._ask("select queue.take_upload($1, $2, $3, $4)", path, size, owner, client)

    async def return_upload(self, path: str) -> None:
        """The ticket was of no use."""
        await self._ask("select queue.return_upload($1)", path)

    async def may_pass(self, code: str | None) -> bool:
        """Whether a job that failed with this code may work with another try."""
        return bool(await self._ask("select queue.may_pass($1)", code))

    async def health(self) -> dict[str, Any]:
        """`workers`, `workers_ready` and `engines`."""
        counts: dict[str, Any] = json.loads(await self._ask("select queue.health()"))
        return counts

    async def gauges(self) -> dict[str, Any]:
        """What /metrics shows of the queue."""
        answer: dict[str, Any] = json.loads(await self._ask("select queue.gauges()"))
        return answer

    async def _ask(self, call: str, *arguments: object, tracer: Tracer | None = None) -> Any:
        try:
            with (tracer or self._tracer)(
                function_of(call), kind="client", attributes={"db.system.name": "postgresql"}
            ):
                async with self._pool.acquire(timeout=PATIENCE_S) as connection:
                    return await connection.fetchval(call, *arguments)
        except AWAY as error:
            log.warning("database.away", error=_said(error))
            read_only = isinstance(error, asyncpg.InvalidTransactionStateError)
            what = "is read-only and takes no jobs" if read_only else "cannot be reached"
            raise _unavailable(f"The database {what}; try again in a few seconds") from error
        except asyncpg.PostgresError as error:
            problem = _translated(error)
            if problem is None:
                raise
            raise problem from error


def _translated(error: asyncpg.PostgresError) -> Problem | None:
    said = str(error.args[0])
    match error.sqlstate:
        case "RY429":
            return Problem("too_many_jobs", said, headers={"Retry-After": str(RETRY_AFTER_FLOOD_S)})
        case "RY430":
            return Problem("too_many_uploads", said, headers={"Retry-After": str(error.hint)})
        case "RY422":
            return Problem("idempotency_mismatch", said)
        case "RY409":
            return Problem("cannot_mend" if error.hint == "cannot_mend" else "not_ready", said)
        case "22023":
            return Problem("invalid_request", said.removeprefix("options."))  # a column; bodies have its members
    if isinstance(error, UNFIT):
        # Messages of these classes name roles and functions, never values.
        log.error("database.unfit", error=said, remedy="check DATABASE_URL and run `rhythmai migrate`")
        return _unavailable("The database is not ready for this API; its operator finds the reason in the log")
    return None


def _said(error: Exception) -> str:
    """One line. What these errors say names hosts, files and users, never a password or a value."""
    return " ".join(str(error).split()) or type(error).__name__


def _unavailable(detail: str) -> Problem:
    return Problem("database_unavailable", detail, headers={"Retry-After": str(RETRY_AFTER_S)})
