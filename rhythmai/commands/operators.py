"""What operators do: see the boxes and the jobs, drain, cancel, retry. Over DATABASE_URL, by the functions of schema queue."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from rhythmai.commands.env import Data
from rhythmai.commands.running import run
from rhythmai.table import Json, age, show, show_json

JobIds = Annotated[list[UUID], typer.Argument(metavar="JOB...", help="Ids of jobs.")]

JOBS = """
with wanted as (
  (select 1 as place, j.claimed_at as moment, j.id from public.jobs j
    where j.worker_id is not null and ($1::text[] is null or j.status = any($1)) order by j.claimed_at limit $2)
  union all
  (select 2, j.created_at, j.id from public.jobs j
    where j.status = 'pending' and ($1::text[] is null or j.status = any($1)) order by j.seq limit $2)
  union all
  (select 3, j.finished_at, j.id from public.jobs j
    where j.finished_at is not null and ($1::text[] is null or j.status = any($1)) order by j.finished_at desc limit $2)
)
select j.id as job_id, j.status, j.stage, j.kind, j.lane, j.tenant, j.attempt, w.moment as since, j.total_count,
       (select count(*) from public.results r where r.job_id = j.id) as completed_count,
       b.name as worker, j.error_code, j.error, j.created_at, split_part(j.traceparent, '-', 2) as trace_id
  from wanted w join public.jobs j using (id) left join public.workers b on b.id = j.worker_id
 order by w.place, case when w.place < 3 then w.moment end, w.moment desc
 limit $2
"""
"""Running, then waiting, then ended jobs; each part is a short walk along an index."""


class Status(StrEnum):
    """States of a job."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


def workers(as_json: Json = False, data: Data = None) -> None:
    """List the boxes, what they do and since when."""
    run(_workers(as_json, data))


def drain(
    name: Annotated[str, typer.Argument(help="What `rhythmai workers` shows.")],
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Let the boxes of a name finish their jobs and end."""
    run(_drain(name, as_json, data))


def jobs(
    status: Annotated[list[Status] | None, typer.Option(help="Only these; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 20,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """List jobs: running, then waiting, then ended ones."""
    run(_jobs(status, limit, as_json, data))


def cancel(job_ids: JobIds, as_json: Json = False, data: Data = None) -> None:
    """Take jobs back, also while they run."""
    # For its owner, whoever that is: an operator may.
    call = "select queue.cancel(j.id, j.owner) from public.jobs j where j.id = $1"
    run(_each("cancelling", call, job_ids, as_json, data))


def retry(job_ids: JobIds, as_json: Json = False, data: Data = None) -> None:
    """Give ended jobs three more attempts; only what is missing is made."""
    run(_each("retrying", "select queue.retry($1)", job_ids, as_json, data))


async def _workers(as_json: bool, data: Path | None) -> None:
    from rhythmai.target import Target, database

    async with database(Target.find(data)) as connection:
        rows = [dict(row) for row in await connection.fetch("select * from queue.workers()")]
    for row in rows:
        row["jobs"] = json.loads(row["jobs"])
    if as_json:
        show_json(rows)
        return
    show([box(row) for row in rows], "There are no workers: start one with `rhythmai-worker`.")


def box(row: dict[str, Any]) -> dict[str, object]:
    """A row of `queue.workers()` for people."""
    from datetime import datetime

    doing = [
        f"{job['stage'] or job['kind']} {job['job_id']} ({age(datetime.fromisoformat(job['since']))})"
        for job in row["jobs"]
    ]
    return {
        "name": row["name"],
        "state": "draining" if row["draining"] and row["state"] != "lost" else row["state"],
        "engine": row["engine"],
        "kinds": ",".join(row["kinds"]),
        "version": row["version"],
        "up": age(row["started_at"]),
        "seen": f"{age(row['last_seen'])} ago",
        "doing": "; ".join(doing) or "-",
    }


async def _drain(name: str, as_json: bool, data: Path | None) -> None:
    from rhythmai.errors import BadInput
    from rhythmai.target import Target, database

    async with database(Target.find(data)) as connection:
        asked = await connection.fetchval("select queue.drain($1)", name)
    if not asked:
        raise BadInput(f"No box of the name {name} runs: `rhythmai workers` lists them")
    if as_json:
        show_json({"name": name, "draining": asked})
    else:
        print(f"{asked} of the name {name} will finish and end.")


async def _jobs(status: list[Status] | None, limit: int, as_json: bool, data: Path | None) -> None:
    from rhythmai.target import Target, database

    async with database(Target.find(data)) as connection:
        rows = [
            dict(row) for row in await connection.fetch(JOBS, [one.value for one in status] if status else None, limit)
        ]
    if as_json:
        show_json(rows)
        return
    show(
        [
            {
                "job": row["job_id"],
                "status": row["stage"] or row["status"],
                "since": age(row["since"]),
                "kind": row["kind"],
                "lane": row["lane"],
                "tracks": f"{row['completed_count']}/{row['total_count']}",
                "attempt": row["attempt"],
                "worker": row["worker"],
                "error": row["error"],
            }
            for row in rows
        ],
        "There are no such jobs.",
    )


async def _each(doing: str, call: str, job_ids: list[UUID], as_json: bool, data: Path | None) -> None:
    """Do the same to each job; what a job refuses is said in the end and does not keep the others from it."""
    import asyncpg

    from rhythmai.errors import BadInput
    from rhythmai.screen import Screen
    from rhythmai.target import Target, database

    answers: list[dict[str, Any]] = []
    refused: list[str] = []
    async with database(Target.find(data)) as connection:
        with Screen(stderr=True) as screen:
            told = screen.count(f"{doing} {len(job_ids)} jobs") if len(job_ids) > 1 else None
            for done, job_id in enumerate(job_ids, 1):
                try:
                    answer = await connection.fetchval(call, job_id)
                except asyncpg.InvalidParameterValueError as error:
                    refused.append(str(error))
                else:
                    if answer is None:
                        refused.append(f"there is no job {job_id}")
                    else:
                        answers.append(json.loads(answer))
                if told:
                    told(done, len(job_ids))
    if as_json:
        show_json(answers)
    else:
        for answer in answers:
            print(f"{answer['job_id']} {answer['status']}")
    if refused:
        raise BadInput("; ".join(refused))
