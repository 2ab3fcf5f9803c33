"""`rhythmai purge`: forget what is old, in the database and in Storage."""

from __future__ import annotations

import re
from collections import Counter
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

BATCH: Final = 1000
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
            jobs = await _forgotten(connection, age, screen)
            counts = await _deleted(connection, buckets, screen)
    uploads = counts.pop("uploads", 0)
    tracks = counts.total()
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


async def _forgotten(connection: asyncpg.Connection, older_than: timedelta, screen: Screen) -> int:
    """How many jobs; what nobody needs any more is discarded with them, as are unused uploads."""
    jobs = 0
    while forgotten := await connection.fetchval("select queue.purge($1)", older_than):
        jobs += forgotten
        screen.doing(f"{jobs} jobs deleted")
    await connection.execute("update private.settings set uploads_walked = ''")
    while await connection.fetchval("select queue.discard_unused_uploads($1)", BATCH) == BATCH:
        pass
    return jobs


async def _deleted(connection: asyncpg.Connection, buckets: Buckets, screen: Screen) -> Counter[str]:
    """How many objects of each bucket; after a failure the rest comes again."""
    counts: Counter[str] = Counter()
    while found := await connection.fetch("select bucket, path from queue.discarded($1)", BATCH):
        for bucket in {row["bucket"] for row in found}:
            paths = [row["path"] for row in found if row["bucket"] == bucket]
            counts[bucket] += await buckets.remove([(bucket, path) for path in paths])
            await connection.execute("select queue.deleted($1, $2)", bucket, paths)
        screen.doing(f"{counts.total()} objects deleted")
    return counts
