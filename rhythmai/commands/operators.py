"""What operators do: see workers and jobs, drain, retry. Over DATABASE_URL, by the functions of schema queue."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import typer

from rhythmai.commands.arguments import Data, JobIds
from rhythmai.commands.running import command
from rhythmai.table import Json, age, show, show_json

if TYPE_CHECKING:
    import asyncpg

JOBS = """
with wanted (place, moment, job) as (
  (select 1, j.claimed_at, j from public.jobs j
    where j.worker_id is not null and ($1::text[] is null or j.status = any($1)) order by j.claimed_at limit $2)
  union all
  (select 2, (p.j).created_at, p.j
     from (values ('merge', ''), ('brief', ''), ('pack', ''), ('generate', ''), ('generate', 'mmaudio'), ('generate', 'acestep'), ('generate', 'sketch')) k (kind, engine),
          (values ('interactive'), ('batch')) l (lane),
          lateral (select j from public.jobs j
                    where j.kind = k.kind and j.lane = l.lane and j.engine = k.engine and j.status = 'pending' and j.run_at is null
                    order by j.priority desc, j.turn limit $2) p
    where $1::text[] is null or 'pending' = any($1))
  union all
  (select 2, j.created_at, j from public.jobs j
    where j.status = 'pending' and j.run_at is not null and ($1::text[] is null or 'pending' = any($1)) order by j.run_at limit $2)
  union all
  (select 3, (e.j).finished_at, e.j
     from unnest(array['completed', 'failed', 'cancelled']) s (status),
          lateral (select j from public.jobs j
                    where j.status = s.status and j.finished_at is not null order by j.finished_at desc limit $2) e
    where $1::text[] is null or s.status = any($1))
)
select (w.job).id as job_id, (w.job).status, (w.job).stage, (w.job).kind, (w.job).lane, coalesce(nullif((w.job).engine, ''), 'auto') as engine, (w.job).tenant, (w.job).attempt,
       w.moment as since, (w.job).total_count,
       (select count(*) from public.results r where r.job_id = (w.job).id) as completed_count,
       (select string_agg(distinct r.licence ->> 'name', ', ') from public.results r where r.job_id = (w.job).id) as licence,
       b.name as worker, (w.job).error_code, (w.job).error, (w.job).created_at, split_part((w.job).traceparent, '-', 2) as trace_id
  from wanted w left join public.workers b on b.id = (w.job).worker_id
 order by w.place, case when w.place < 3 then w.moment end, w.moment desc
 limit $2
"""
"""Running, then waiting, then ended jobs; each part is a short walk along an index."""


LACKING = "select engine, jobs from queue.lacking()"
Status = StrEnum("Status", ["pending", "processing", "completed", "failed", "cancelled"])
SHORT_DOING: Final = 36
"""How much of what a worker does is shown at least: the id of a job."""


@command
async def workers(as_json: Json = False, data: Data = None) -> None:
    """List the workers, what they do and since when."""
    from rhythmai.target import Target, database

    async with database(Target.find(data)) as connection:
        rows = await all_workers(connection)
        lacking = await connection.fetch(LACKING)
    if as_json:
        show_json(rows)
        return
    show([seen(row) for row in rows], "There are no workers: start one with `rhythmai-worker`.", SHORT_DOING)
    for engine, count in lacking:
        print(f"Jobs that wait for {engine}, which no living worker has: {count}. Start one with ENGINE={engine}.")


async def all_workers(connection: asyncpg.Connection) -> list[dict[str, Any]]:
    """The rows of `queue.workers()`."""
    return [{**row, "jobs": json.loads(row["jobs"])} for row in await connection.fetch("select * from queue.workers()")]


def seen(row: dict[str, Any]) -> dict[str, object]:
    """A row of `queue.workers()` for people."""
    from datetime import datetime

    doing = [
        f"{job['job_id']} {job['stage'] or job['kind']} ({age(datetime.fromisoformat(job['since']))})"
        for job in row["jobs"]
    ]
    return {
        "name": row["name"],
        "state": "draining" if row["draining"] and row["state"] != "lost" else row["state"],
        "engine": row["engine"],
        "seen": f"{age(row['last_seen'])} ago",
        "up": age(row["started_at"]),
        "kinds": ",".join(row["kinds"]),
        "version": row["version"],
        "doing": "; ".join(doing) or "-",
    }


@command
async def drain(
    name: Annotated[str, typer.Argument(help="What `rhythmai workers` shows.")],
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Let the workers of a name finish their jobs and end."""
    from rhythmai.errors import BadInput
    from rhythmai.target import Target, database

    async with database(Target.find(data)) as connection:
        asked = await connection.fetchval("select queue.drain($1)", name)
    if not asked:
        raise BadInput(f"No worker of the name {name} runs: `rhythmai workers` lists them")
    if as_json:
        show_json({"name": name, "draining": asked})
    else:
        print(f"{asked} of the name {name} will finish and end.")


@command
async def jobs(
    status: Annotated[list[Status] | None, typer.Option(help="Only these; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 20,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """List jobs: running, then waiting, then ended ones."""
    from rhythmai.target import Target, database

    async with database(Target.find(data)) as connection:
        rows = [dict(row) for row in await connection.fetch(JOBS, status or None, limit)]
    if as_json:
        show_json(rows)
        return
    show(
        [
            {
                "job": row["job_id"],
                "status": row["stage"] or row["status"],
                "since": age(row["since"]),
                "tracks": f"{row['completed_count']}/{row['total_count']}",
                "licence": row["licence"],
                "worker": row["worker"],
                "attempt": row["attempt"],
                "kind": row["kind"],
                "lane": row["lane"],
                "error": row["error"],
            }
            for row in rows
        ],
        "There are no such jobs.",
    )


@command
async def retry(job_ids: JobIds, as_json: Json = False, data: Data = None) -> None:
    """Give ended jobs three more attempts; only what is missing is made."""
    await over_database("retrying", "select queue.retry($1)", job_ids, as_json, data)


async def over_database(doing: str, call: str, job_ids: list[UUID], as_json: bool, data: Path | None) -> None:
    """Call a function of the queue for each job."""
    import asyncpg

    from rhythmai.errors import BadInput
    from rhythmai.target import Target, database

    async with database(Target.find(data)) as connection:

        async def one(job_id: UUID) -> dict[str, Any]:
            try:
                answer = await connection.fetchval(call, job_id)
            except asyncpg.InvalidParameterValueError as error:
                raise BadInput(str(error)) from None
            if answer is None:
                raise BadInput(f"there is no job {job_id}")
            told: dict[str, Any] = json.loads(answer)
            return told

        await each(doing, one, job_ids, as_json)


async def each(
    doing: str, act: Callable[[UUID], Awaitable[dict[str, Any]]], job_ids: list[UUID], as_json: bool
) -> None:
    """Do the same to each job; what a job refuses is said in the end and does not keep the others from it."""
    from rhythmai.errors import BadInput, Refused
    from rhythmai.screen import Screen

    answers: list[dict[str, Any]] = []
    refused: list[str] = []
    with Screen(stderr=True) as screen:
        told = screen.count(f"{doing} {len(job_ids)} jobs") if len(job_ids) > 1 else None
        for done, job_id in enumerate(job_ids, 1):
            try:
                answers.append(await act(job_id))
            except (BadInput, Refused) as error:
                refused.append(str(error))
            if told:
                told(done, len(job_ids))
    if as_json:
        show_json(answers)
    else:
        for answer in answers:
            print(answer["job_id"], answer["status"] + (" (stops soon)" if answer["status"] == "processing" else ""))
    if refused:
        raise BadInput("; ".join(refused))
