"""What an older worker, API or edge function calls is still there: migrations only ever add."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import asyncpg

PINNED = Path(__file__).with_name("calls.txt")
CALLS = """
select format('%s.%s(%s) returns %s', n.nspname, p.proname,
              pg_get_function_arguments(p.oid), pg_get_function_result(p.oid))
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'queue' order by 1
"""
COLUMNS = """
select format('%s.%s %s', c.table_name, c.column_name, c.data_type) from information_schema.columns c
 where c.table_schema = 'public' and c.table_name in ('jobs', 'results', 'workers', 'deliveries') order by 1
"""
STATES = r"""
select distinct 'sqlstate ' || said.state[1] from pg_proc p join pg_namespace n on n.oid = p.pronamespace,
       regexp_matches(p.prosrc, 'errcode = ''(\w+)''', 'g') said (state)
 where n.nspname in ('queue', 'private') order by 1
"""
AMBIGUOUS = """
select format('%s and %s', one.oid::regprocedure, other.oid::regprocedure)
  from pg_proc one join pg_proc other using (pronamespace, proname)
 where one.pronamespace = 'queue'::regnamespace and one.oid < other.oid
   and one.pronargs - one.pronargdefaults <= other.pronargs and other.pronargs - other.pronargdefaults <= one.pronargs
"""
WHAT_TO_DO = """
The database no longer has what released workers use:
  {}
A worker of the version before must work on the new schema while boxes are upgraded one by one. So keep the old function
or column and add a new one beside it: an argument without a default makes a new signature, `create function` leaves the
old one in place. (With a default, both would fit the old call, and Postgres refuses to choose.) If you only added
something, add its line to {}.
"""


async def found(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        named = [row[0] for query in (CALLS, COLUMNS, STATES) for row in await connection.fetch(query)]
        return named + await answered(connection)
    finally:
        await connection.close()


async def answered(connection: asyncpg.Connection) -> list[str]:
    """The keys of what the functions answer as JSON, along the way of a job; no trace of it is left."""

    async def ask(call: str, *arguments: object) -> dict[str, Any]:
        return json.loads(await connection.fetchval(f"select {call}", *arguments))

    transaction = connection.transaction()
    await transaction.start()
    worker = await connection.fetchval("select queue.register('box', '{generate}', '{sketch}', '1', '1 hour')")
    await connection.execute("select queue.ready($1, 'sketch')", worker)
    options = json.dumps({"variants": 1, "callback_url": "https://example.com/hook"})
    await connection.execute("select queue.submit('generate', 'https://example.com/a.mp4', '', $1)", options)
    answers = {
        "claim": await ask("queue.claim($1, '1 hour')", worker),
        "health": await ask("queue.health()"),
        "workers": await ask("jsonb_build_object('jobs', w.jobs) from queue.workers() w"),
    }
    lease = answers["claim"]["id"], answers["claim"]["attempt"], worker
    result = json.dumps({"index": 0, "audio_url": "https://example.com/a.flac"})
    await connection.execute("select queue.put_result($1, $2, $3, $4)", *lease, result)
    await connection.execute("select queue.finish($1, $2, $3)", *lease)
    answers["view"] = await ask("queue.view($1)", lease[0])
    answers["claim_delivery"] = await ask("queue.claim_delivery($1)", worker)
    await transaction.rollback()
    return [f"queue.{call} answers {key}" for call, answer in answers.items() for key in sorted(keys(answer))]


def keys(answer: dict[str, Any]) -> set[str]:
    """The names in an answer, and behind the name of a list those of its first element."""
    lists = {name: value[0] for name, value in answer.items() if isinstance(value, list) and value}
    return {*answer, *(f"{name}.{key}" for name, first in lists.items() if isinstance(first, dict) for key in first)}


async def test_nothing_that_older_versions_use_has_gone(database_url):
    """Each function of schema queue, column, key of an answer and error code of a release is there, with the same types."""
    pinned = PINNED.read_text().splitlines()
    there = await found(database_url)
    gone = [line for line in pinned if line not in there]
    assert not gone, WHAT_TO_DO.format("\n  ".join(gone), PINNED.name)


async def test_what_is_new_is_pinned(database_url):
    """What was added is promised, too: it stands in the file."""
    pinned = PINNED.read_text().splitlines()
    new = [line for line in await found(database_url) if line not in pinned]
    assert not new, f"Add to {PINNED.name}, once it is as it shall stay:\n" + "\n".join(new)


async def test_no_call_fits_two_functions(database_url):
    """Two functions of one name never take the same number of arguments: Postgres would refuse a call it took before."""
    connection = await asyncpg.connect(database_url)
    try:
        assert [row[0] for row in await connection.fetch(AMBIGUOUS)] == []
    finally:
        await connection.close()
