"""How long a join of a private channel asks the database, at a million jobs, beside a bare lookup by primary key in the same run.

`gateway.authorise` is the question the local gateway asks at a join: it tries to read and to write both extensions as the
joining role, with the policies on realtime.messages and `private.may_watch`. Run: python bench/realtime_joins.py [jobs]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import uuid
from pathlib import Path

import asyncpg

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.queue_measure import quantile, timed
from bench.queue_ours import OWNER, RhythmAI
from rhythmai.local.postgres import Postgres
from supabase_standin.authentication import Identity
from supabase_standin.database import Database
from supabase_standin.realtime.authorisation import authorise

JOINS = 1000
VISITOR = Identity(role="anon", claims={"role": "anon"})
USER = Identity(role="authenticated", claims={"role": "authenticated", "sub": OWNER})
SAMPLE = "select id from public.jobs tablesample system (1) where (owner is null) = $1 limit $2"


async def measure(url: str, jobs: int) -> list[str]:
    db = await asyncpg.connect(url)
    await RhythmAI(url).lay(db, jobs)
    await db.execute("vacuum analyze")
    ownerless, owned = [[row["id"] for row in await db.fetch(SAMPLE, free, JOINS)] for free in (True, False)]
    await db.close()
    database = Database(url)
    await database.open()

    async def look_up(job: uuid.UUID) -> bool:
        return await database.fetchrow("select 1 from public.jobs where id = $1", job) is not None

    def join(identity: Identity):
        async def ask(job: uuid.UUID) -> bool:
            return "broadcast" in (await authorise(database, f"job:{job}", identity)).may_read

        return ask

    cases = [
        ("a visitor, an ownerless job", join(VISITOR), ownerless, True),
        ("a user, the own job", join(USER), owned, True),
        ("a visitor, somebody's job", join(VISITOR), owned, False),
        ("an id that no job has", join(USER), [uuid.uuid4() for _ in range(JOINS)], False),
        ("bare lookup by primary key", look_up, owned, True),
    ]
    times: dict[str, list[float]] = {name: [] for name, *_ in cases}
    for n in range(JOINS):
        for name, ask, ids, expected in random.sample(cases, len(cases)):
            job = ids[n % len(ids)]
            ms, answer = await timed(lambda ask=ask, job=job: ask(job))
            assert answer is expected, name
            times[name].append(ms)
    await database.close()
    return [f"| {name} | {quantile(ms, 0.5):.2f} | {quantile(ms, 0.99):.2f} |" for name, ms in times.items()]


async def run(jobs: int) -> None:
    with tempfile.TemporaryDirectory(prefix="rhythmai-bench-", ignore_cleanup_errors=True) as place:
        server = Postgres(Path(place) / "data", password="bench", careless=True)
        server.start()
        try:
            rows = await measure(server.url(), jobs)
        finally:
            server.stop()
    print(
        f"{jobs:,} jobs, {JOINS:,} of each, one after the other; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n"
    )
    print("| | p50 ms | p99 ms |\n|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", type=int, nargs="?", default=1_000_000)
    asyncio.run(run(parser.parse_args().jobs))
