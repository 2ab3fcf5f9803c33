"""What each rule of our queue costs: the same statements in databases that lack one of them each, in turns."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg

from bench.queue_measure import busy_us
from rhythmai.local.postgres import Postgres

WITHOUT = {
    "": "",
    "the fair turn, the checks of options and owner": "alter table public.jobs disable trigger jobs_before_insert",
    "the wake-up: NOTIFY and a Realtime broadcast": "alter table public.jobs disable trigger jobs_wake",
    "the state machine and the ranges of columns": "alter table public.jobs drop constraint jobs_sound",
    "the indexes of turns and tenants": "drop index public.jobs_ready, public.jobs_tenant",
    "seven indexes of running, owned and finished jobs": "drop index public.jobs_source, public.jobs_music, public.jobs_backed_off, "
    "public.jobs_deadline, public.jobs_idempotency, public.jobs_owner, public.jobs_finished",
    "the foreign key to its worker": "alter table public.jobs drop constraint jobs_worker_id_fkey",
    "the live event of a claim and of an end": "alter table public.jobs disable trigger jobs_event",
}
"""Rule to what takes it away."""

ONE = "insert into public.jobs (video_url, tenant) select 'https://example.com/v.mp4', 't' || floor(random() * 1000)"
STATEMENTS = {
    "insert": (6, f"do $$ begin for i in 1..6 loop {ONE}; commit; end loop; end $$"),
    "row of an insert of many": (
        1000,
        "insert into public.jobs (video_url, tenant) select 'https://example.com/v.mp4', 't' || i % 1000 from generate_series(1, 1000) i",
    ),
    "claim and end": (
        6,
        """do $$ declare j jsonb; begin for i in 1..6 loop j := queue.claim(1, '30 min'); commit;
        perform queue.finish((j ->> 'id')::uuid, (j ->> 'attempt')::integer, 1); commit; end loop; end $$""",
    ),
}
"""What is measured: (how many in one call, the call)."""
PREPARE = """
select queue.register('bench', '{generate,merge}', '{}', '', '10 hours');
select queue.ready(1, '');
insert into public.jobs (video_url, tenant) select 'https://example.com/v.mp4', 't' || i % 1000 from generate_series(1, 20000) i;
"""


async def rules(
    server: Postgres, lay: Callable[[asyncpg.Connection, int], object], rounds: int
) -> dict[str, dict[str, float]]:
    """Rule to statement to microseconds of processor time: the least of the rounds with the rule, less that without it; "" is all."""
    template = await asyncpg.connect(server.url("rules"))
    await lay(template, 0)
    await template.execute(PREPARE)
    await template.close()
    admin = await asyncpg.connect(server.url())
    opened: dict[str, asyncpg.Connection] = {}
    for i, (rule, statement) in enumerate(WITHOUT.items()):
        await admin.execute(f"create database rules_{i} template rules")
        opened[rule] = await asyncpg.connect(server.url(f"rules_{i}"))
        await opened[rule].execute(statement or "select 1")
        await opened[rule].execute("analyze")
    least: dict[str, dict[str, float]] = {rule: dict.fromkeys(STATEMENTS, float("inf")) for rule in WITHOUT}
    for label, (count, statement) in STATEMENTS.items():
        for _ in range(max(5, rounds // (10 if count > 100 else 1))):
            for rule, db in opened.items():
                if label == "claim and end" and "indexes of turns" in rule:
                    continue  # it would walk the table
                pid = db.get_server_pid()
                before = busy_us(pid)
                await db.execute(statement)
                least[rule][label] = min(least[rule][label], (busy_us(pid) - before) / count)
    for db in [*opened.values(), admin]:
        await db.close()
    full = least[""]
    return {
        rule: {
            label: us if rule == "" else max(0.0, full[label] - us) for label, us in found.items() if us != float("inf")
        }
        for rule, found in least.items()
    }
