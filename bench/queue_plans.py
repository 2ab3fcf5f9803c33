"""The statements inside the queue's functions and the policy of its topics, taken from the database itself, and what EXPLAIN says of them."""

from __future__ import annotations

import re

import asyncpg

STATEMENTS = {
    "walk, priority above 0": ("next_ready", r"select r\.id into v_job\s[^;]*?priority > 0[^;]*"),
    "walk": ("next_ready", r"select r\.id, q\.turn into v_job, v_turn[^;]*"),
    "walk, priority below 0": ("next_ready", r"select r\.id into v_job\s[^;]*?priority < 0[^;]*"),
    "last turn of the tenant": ("turn_of", r"select j\.turn >> 32 .*?limit 1"),
    "jobs past their deadline": ("sweep", r"select \* from public\.jobs j where [^;]*?deadline_at.*?skip locked"),
    "backed-off jobs that are due": ("ready_due", r"select d\.id .*?skip locked"),
    "jobs of a dead worker": ("sweep", r"select \* from public\.jobs j where j\.worker_id.*?skip locked"),
    "may this topic be watched": ("may_watch", r"select case .*end;"),
}
"""Name to (function, pattern in its source)."""

PARAMETERS = {
    "p_kinds": ("text[]", "array['generate', 'generate']"), "p_kind": ("text", "'generate'"), "p_lane": ("text", "'batch'"), "p_engines": ("text[]", "array['', 'sketch']"),
    "p_engine": ("text", "''"), "p_tenant": ("text", "'t7'"), "p_priority": ("smallint", "0::smallint"),
    "v_turns": ("bigint[]", "array[{served}, 0]"), "v_round": ("bigint", "{served} >> 32"), "v_worker.id": ("bigint", "1"),
    "topic": ("text", "'job:00000000-0000-4000-8000-000000000000'"),
}  # fmt: skip
"""Variables of those functions: type and a value to explain with."""


async def explain(
    db: asyncpg.Connection, name: str, *, mode: str = "force_generic_plan", options: str = "costs off"
) -> str:
    """The plan of one of STATEMENTS; plpgsql caches generic plans, a fresh connection begins with custom ones."""
    function, pattern = STATEMENTS[name]
    source = await db.fetchval("select prosrc from pg_proc where proname = $1", function)
    found = re.search(pattern, source, re.DOTALL)
    assert found, f"{function} has no statement like {pattern}"
    statement = re.sub(r" into v_\w+(, v_\w+)*", "", found[0])
    used = [variable for variable in PARAMETERS if variable in statement]
    for i, variable in enumerate(used, 1):
        statement = statement.replace(variable, f"${i}")
    types = ", ".join(PARAMETERS[variable][0] for variable in used)
    served = await db.fetchval("select last_value from private.served_generate_batch")
    values = ", ".join(PARAMETERS[variable][1] for variable in used).format(served=served)
    async with db.transaction():
        await db.execute(f"set local plan_cache_mode = {mode}")
        await db.execute(f"prepare explained {f'({types})' if types else ''} as {statement}")
        rows = await db.fetch(f"explain ({options}) execute explained {f'({values})' if values else ''}")
        await db.execute("deallocate explained")
    return "\n".join(row[0] for row in rows)
