"""`rhythmai top`: queue, workers and the last results on one screen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rhythmai.commands.arguments import Data
from rhythmai.commands.operators import SHORT_DOING, all_workers, seen
from rhythmai.commands.running import command
from rhythmai.table import Json, age, fitting, grid, plain_text, seconds, show_json

if TYPE_CHECKING:
    import asyncpg
    from rich.console import Console
    from rich.text import Text

    from rhythmai.target import Target

LAST: Final = """
select j.id as job_id, j.status, j.kind, j.lane, j.finished_at, j.total_count, j.error,
       extract(epoch from j.started_at - j.created_at)::float8 as waited_s,
       extract(epoch from j.finished_at - j.started_at)::float8 as took_s,
       array(select r.title from public.results r where r.job_id = j.id order by r.index) as titles,
       (select r.engine from public.results r where r.job_id = j.id limit 1) as engine
  from unnest(array['completed', 'failed', 'cancelled']) s (status),
       lateral (select * from public.jobs j where j.status = s.status and j.finished_at is not null
                 order by j.finished_at desc limit $1) j
 order by j.finished_at desc limit $1
"""
"""Three short walks along jobs_finished."""


@command
async def top(
    once: Annotated[bool, typer.Option("--once", help="Show it once and end; so does a pipe.")] = False,
    every: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between two looks.")] = 2.0,
    last: Annotated[int, typer.Option(min=1, max=100, help="How many ended jobs.")] = 10,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Watch the queue, the workers and the last results.

    A live screen until Ctrl-C; with --once or --json a single look.
    """
    from rich.console import Console

    from rhythmai.target import Target, database

    target = Target.find(data)
    console = Console(markup=False, highlight=False)
    if console.is_terminal and not once and not as_json:
        await _live(target, console, every, last)
        return
    async with database(target) as connection:
        found = await _look(connection, last)
    if as_json:
        show_json(found)
    else:
        console.print(_drawn(found, fitting(console)), soft_wrap=True)


async def _live(target: Target, console: Console, every_s: float, last: int) -> None:
    """Until cancelled. A database that goes away later is told on the screen, and asked again."""
    import asyncio

    from rich.live import Live

    from rhythmai.errors import Unreachable
    from rhythmai.target import database

    found: dict[str, Any] | None = None
    with Live(console=console, screen=True, auto_refresh=False) as screen:
        while True:
            try:
                async with database(target) as connection:
                    while True:
                        found = await _look(connection, last)
                        screen.update(_drawn(found, console.width), refresh=True)
                        await asyncio.sleep(every_s)
            except Unreachable as error:
                if found is None:
                    raise
                screen.update(_drawn(found, console.width, str(error)), refresh=True)
            await asyncio.sleep(every_s)


async def _look(connection: asyncpg.Connection, last: int) -> dict[str, Any]:
    return {
        "queue": json.loads(await connection.fetchval("select queue.gauges()")),
        "workers": await all_workers(connection),
        "last": [dict(row) for row in await connection.fetch(LAST, last)],
    }


def _drawn(found: dict[str, Any], width: int, trouble: str = "") -> Text:
    from rich.text import Text

    queue = found["queue"]
    ready = sum(row["count"] for row in queue["jobs"] if row["state"] == "ready")
    working = sum(row["count"] for row in queue["workers"] if row["state"] == "ready")
    summary = f"{ready} jobs wait, {working} workers are ready, {queue['webhooks']['pending']} webhooks are due"
    named = dict.fromkeys((row["kind"], row["lane"]) for row in queue["jobs"] if row["state"] == "ready")
    lanes = [_lane(queue, *lane) for lane in named]
    workers = [seen(row) for row in found["workers"]]
    ended = [_ended(row) for row in found["last"]]
    return Text("\n\n").join(
        (
            Text(plain_text(trouble), "bold red") if trouble else Text(summary, "bold"),
            grid(lanes, width),
            grid(workers, width, SHORT_DOING) if workers else Text("There are no workers."),
            grid(ended, width) if ended else Text("No job has ended yet."),
        )
    )


def _lane(queue: dict[str, Any], kind: str, lane: str) -> dict[str, object]:
    counts = dict.fromkeys(("ready", "backed_off", "paused", "running"), 0)
    for row in queue["jobs"]:
        if (row["kind"], row["lane"]) == (kind, lane):
            counts[row["state"]] += row["count"]
    heads = (head["waits_s"] for head in queue["heads"] if (head["kind"], head["lane"]) == (kind, lane))
    head = max(heads, default=None)  # each engine has one
    return {"kind": kind, "lane": lane, **counts, "next waits": seconds(head)}


def _ended(row: dict[str, Any]) -> dict[str, object]:
    return {
        "job": row["job_id"],
        "status": row["status"],
        "ended": f"{age(row['finished_at'])} ago",
        "tracks": f"{len(row['titles'])}/{row['total_count']}",
        "took": seconds(row["took_s"]),
        "waited": seconds(row["waited_s"]),
        "engine": row["engine"],
        "what came out": row["error"] or ", ".join(filter(None, row["titles"])),
    }
