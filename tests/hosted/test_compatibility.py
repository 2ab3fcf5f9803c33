"""What an older worker, API or edge function calls is still there: migrations only ever add."""

from __future__ import annotations

from pathlib import Path

import asyncpg

PINNED = Path(__file__).with_name("calls.txt")
CALLS = """
select format('%s.%s(%s) returns %s', n.nspname, p.proname,
              pg_get_function_arguments(p.oid), pg_get_function_result(p.oid))
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'queue' order by 1
"""
COLUMNS = """
select format('%s.%s %s', c.table_name, c.column_name, c.data_type) from information_schema.columns c
 where c.table_schema = 'public' and c.table_name in ('jobs', 'results', 'workers') order by 1
"""
WHAT_TO_DO = """
The database no longer has what released workers use:
  {}
A worker of the version before must work on the new schema while boxes are upgraded one by one. So keep the old function
or column and add a new one beside it: an argument with a default makes a new signature, `create function` leaves the old
one in place. If you only added something, add its line to {}.
"""


async def found(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for query in (CALLS, COLUMNS) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def test_nothing_that_older_versions_use_has_gone(database_url):
    """Every function of schema queue and every public column of a release is there, with the same types."""
    pinned = PINNED.read_text().splitlines()
    there = await found(database_url)
    gone = [line for line in pinned if line not in there]
    assert not gone, WHAT_TO_DO.format("\n  ".join(gone), PINNED.name)


async def test_what_is_new_is_pinned(database_url):
    """What was added is promised, too: it stands in the file."""
    pinned = PINNED.read_text().splitlines()
    new = [line for line in await found(database_url) if line not in pinned]
    assert not new, f"Add to {PINNED.name}, once it is as it shall stay:\n" + "\n".join(new)
