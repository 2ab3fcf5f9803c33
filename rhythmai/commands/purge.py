"""`rhythmai purge`: forget what is old, in the database and in Storage."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rhythmai.commands.arguments import Data
from rhythmai.commands.running import command
from rhythmai.table import Json, show_json

if TYPE_CHECKING:
    import asyncpg

    from rhythmai.buckets import Buckets
    from rhythmai.screen import Screen

BATCH: Final = 100
DELETED: Final = "select pg_stat_get_xact_tuples_deleted('public.jobs'::regclass)"
"""What this connection deleted; transactions that were not reported yet count, too: only a difference tells."""
UNITS: Final = {"d": "days", "h": "hours", "m": "minutes"}


@command
async def purge(
    older_than: Annotated[str, typer.Option(help="Jobs that ended longer ago: 30d, 12h or 90m.")],
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Delete old jobs with their tracks, and uploads of more than a day that no job uses."""
    from rhythmai.buckets import Buckets
    from rhythmai.screen import Screen
    from rhythmai.target import Target, database

    age, target = parse_age(older_than), Target.find(data)
    with Screen(stderr=True) as screen:
        async with database(target) as connection, Buckets(target.supabase_url, target.supabase_key) as buckets:
            jobs, tracks = await _old_jobs(connection, buckets, age, screen)
            uploads = await _unused_uploads(connection, buckets, screen)
    if as_json:
        show_json({"jobs": jobs, "objects": tracks, "uploads": uploads})
    else:
        print(f"Deleted {jobs} jobs with {tracks} objects, and {uploads} unused uploads.")


def parse_age(text: str) -> timedelta:
    """Raises BadInput."""
    from rhythmai.errors import BadInput

    found = re.fullmatch(r"(\d{1,6})([dhm])", text)
    if not found:
        raise BadInput(f"{text} is not an age: write it like 30d, 12h or 90m")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


async def _old_jobs(
    connection: asyncpg.Connection, buckets: Buckets, older_than: timedelta, screen: Screen
) -> tuple[int, int]:
    """A batch is forgotten once Storage has deleted its objects: after a failure the same batch comes again."""
    jobs = objects = 0
    while True:
        async with connection.transaction():
            before = await connection.fetchval(DELETED)
            found = await connection.fetch("select bucket, path from queue.purge($1, $2)", older_than, BATCH)
            deleted = await connection.fetchval(DELETED) - before
            await buckets.remove([(row["bucket"], row["path"]) for row in found])
        if not deleted:
            return jobs, objects
        jobs, objects = jobs + deleted, objects + len(found)
        screen.doing(f"{jobs} jobs deleted")


async def _unused_uploads(connection: asyncpg.Connection, buckets: Buckets, screen: Screen) -> int:
    uploads = 0
    before: Sequence[tuple[str, str]] = []
    while True:
        rows = await connection.fetch("select bucket, path from queue.unused_uploads(p_limit => $1)", BATCH)
        found = [(row["bucket"], row["path"]) for row in rows]
        if not found or found == before:  # what Storage does not delete comes again: once is enough
            return uploads
        uploads += await buckets.remove(found)
        screen.doing(f"{uploads} unused uploads deleted")
        before = found
