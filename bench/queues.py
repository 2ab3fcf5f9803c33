"""The queue measured beside its peers, in one run on one server: writes bench/queue.md.

    python bench/queues.py [--finished 1000000] [--pending 100000]

Each system gets a database of its own on the embedded Postgres 18 (fsync off), filled with as many finished and pending
jobs, ours with a thousand owners. The peers are installed from PyPI into a temporary virtual environment.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import venv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from bench.queue_measure import measure, quantile, timed  # noqa: E402
from bench.queue_plans import explain  # noqa: E402
from rhythmai.local.postgres import Postgres  # noqa: E402
from rhythmai.schema import BASELINE  # noqa: E402

PEERS = ["procrastinate==3.10.0", "pgqueuer==1.6.0", "asyncpg==0.32.0", "psycopg[binary,pool]"]
OWNER = "00000000-0000-4000-8000-000000000001"


class RhythmAI:
    """Our queue: fenced, fair, live events on every claim and end."""

    name = "rhythmai"
    backfill = "insert into public.jobs (video_url) select 'https://example.com/v.mp4' from generate_series(1, 10000)"

    def __init__(self, url: str) -> None:
        self.url = url

    async def lay(self, db: asyncpg.Connection, finished: int, pending: int) -> None:
        for file in [BASELINE, *sorted((ROOT / "supabase" / "migrations").glob("*.sql"))]:
            await db.execute(file.read_text())
        await db.execute("alter table public.jobs disable trigger user")
        await db.execute(
            f"""
            insert into public.jobs (video_url, status, attempt, started_at, claimed_at, finished_at, tenant, owner)
            select 'https://example.com/v.mp4', 'completed', 1, now(), now(), now() - i * interval '1 s', 't' || i % 1000,
                   case when i % 2 = 0 then '{OWNER}'::uuid end
              from generate_series(1, {finished}) i;
            insert into public.jobs (video_url, tenant, turn)
            select 'https://example.com/v.mp4', 't' || i % 1000, ((i / 1000)::bigint << 32) | i from generate_series(1, {pending}) i
            """
        )
        await db.execute("alter table public.jobs enable trigger user")

    async def open(self) -> None:
        self.db = await asyncpg.connect(self.url)
        self.worker = await self.db.fetchval("select queue.register('bench', '{generate,merge}', '', '', '1 hour')")
        await self.db.execute("select queue.ready($1, '')", self.worker)

    async def claim(self) -> Any:
        return await self.db.fetchval("select queue.claim($1, $2)", self.worker, timedelta(minutes=30))

    async def done(self, job: str) -> None:
        row = json.loads(job)
        await self.db.execute("select queue.finish($1, $2, $3)", row["id"], row["attempt"], self.worker)

    async def close(self) -> None:
        await self.db.close()


class Bare:
    """The floor: one `update ... for update skip locked` on one small table, no fence, no fairness, no events."""

    name = "bare skip locked"
    backfill = "insert into bare (payload) select '{}' from generate_series(1, 10000)"

    def __init__(self, url: str) -> None:
        self.url = url

    async def lay(self, db: asyncpg.Connection, finished: int, pending: int) -> None:
        await db.execute(
            f"""
            create table bare (id bigint generated always as identity primary key, status text not null default 'pending', payload jsonb);
            create index on bare (id) where status = 'pending';
            insert into bare (status, payload) select 'completed', '{{}}' from generate_series(1, {finished});
            insert into bare (payload) select '{{}}' from generate_series(1, {pending})
            """
        )

    async def open(self) -> None:
        self.db = await asyncpg.connect(self.url)

    async def claim(self) -> Any:
        return await self.db.fetchval(
            "update bare set status = 'processing' where id = (select id from bare where status = 'pending' "
            "order by id limit 1 for update skip locked) returning id"
        )

    async def done(self, job: int) -> None:
        await self.db.execute("update bare set status = 'completed' where id = $1", job)

    async def close(self) -> None:
        await self.db.close()


async def fresh(server: Postgres, name: str) -> str:
    db = await asyncpg.connect(server.url())
    await db.execute(f"create database {name}")
    await db.close()
    return server.url(name)


def peers(folder: Path) -> Path:
    """A Python with the peers installed."""
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", *PEERS], check=True)
    return folder / "bin" / "python"


async def fairness(db: asyncpg.Connection) -> int:
    """How many claims go by before the one job of B, after A has backfilled 3,000 into the same lane and ten were served."""
    await db.execute("delete from public.jobs where status = 'pending'")
    worker = await db.fetchval("select queue.register('fair', '{generate}', '', '', '1 hour')")
    claim = "select queue.claim($1, interval '30 minutes') ->> 'tenant'"
    await db.execute(
        "insert into public.jobs (video_url, tenant) select 'https://v', 'A' from generate_series(1, 3000)"
    )
    for _ in range(10):
        await db.fetchval(claim, worker)
    await db.execute("insert into public.jobs (video_url, tenant) values ('https://v', 'B')")
    waited = 0
    while await db.fetchval(claim, worker) != "B":
        waited += 1
    return waited


async def join(db: asyncpg.Connection) -> list[float]:
    """Milliseconds of the question Realtime asks at a join: may this role read this topic?"""
    jobs = await db.fetch("select id, owner from public.jobs tablesample system (1) limit 300")
    times = []
    for job in jobs:
        async with db.transaction():
            await db.execute("select realtime.send('{}', 'probe', $1)", f"job:{job['id']}")
            claims = json.dumps({"sub": str(job["owner"] or OWNER), "role": "authenticated"})
            await db.execute("select set_config('request.jwt.claims', $1, true)", claims)
            await db.execute("set local role authenticated")
            ms, seen = await timed(
                lambda: db.fetchval("select true from realtime.messages where topic = realtime.topic() limit 1")
            )
            assert seen
        times.append(ms)
    return times


async def plans(db: asyncpg.Connection) -> list[tuple[str, str]]:
    """EXPLAIN of the walks as they stand in the functions, under generic plans as plpgsql caches them."""
    asked = ["walk", "last turn of the tenant", "jobs past their deadline", "backed-off jobs that are due"]
    return [(name.capitalize(), await explain(db, name, options="analyze, buffers, costs off")) for name in asked]


def table(figures: dict[str, dict[str, float]]) -> str:
    names = list(figures)
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for label in next(iter(figures.values())):
        unit = "" if label.startswith("jobs/s") else " (ms)"
        cells = (
            f"{figures[name][label]:,.0f}" if figures[name][label] >= 100 else f"{figures[name][label]:.2f}"
            for name in names
        )
        lines.append(f"| {label}{unit} | " + " | ".join(cells) + " |")
    ratios = (f"{f['snapshot: after 10,000'] / f['snapshot: first claims']:.1f} x" for f in figures.values())
    return "\n".join([*lines, "| snapshot: how much slower | " + " | ".join(ratios) + " |"])


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--finished", type=int, default=1_000_000)
    parser.add_argument("--pending", type=int, default=100_000)
    asked = parser.parse_args()
    sizes = {"finished": asked.finished, "pending": asked.pending}
    with tempfile.TemporaryDirectory(prefix="rhythmai-bench-", ignore_cleanup_errors=True) as place:
        server = Postgres(Path(place) / "data", password="bench", careless=True)
        server.start()
        try:
            figures = {}
            for i, kind in enumerate([RhythmAI, Bare]):
                figures[kind.name] = await measure(kind, await fresh(server, f"own_{i}"), **sizes)
                print(kind.name, figures[kind.name], flush=True)
            python = peers(Path(place) / "peers")
            for name in ["procrastinate", "pgqueuer"]:
                command = [python, HERE / "queue_peers.py", name, await fresh(server, name), *map(str, sizes.values())]
                peer = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
                figures[name] = json.loads((await peer.communicate())[0])
                print(name, figures[name], flush=True)
            db = await asyncpg.connect(server.url("own_0"))
            version = await db.fetchval("show server_version")
            joins = await join(db)
            explained = await plans(db)
            waited = await fairness(db)
            await db.close()
        finally:
            server.stop()
    chapters = "\n".join(f"### {title}\n\n```\n{plan}\n```\n" for title, plan in explained)
    (HERE / "queue.md").write_text(
        TEXT.format(
            day=datetime.now(UTC).date().isoformat(), version=version, cpus=os.cpu_count(), machine=platform.machine(), peers=", ".join(PEERS[:2]),
            finished=f"{asked.finished:,}", pending=f"{asked.pending:,}", table=table(figures), waited=waited,
            join50=quantile(joins, 0.5), join99=quantile(joins, 0.99), plans=chapters,
        )
    )  # fmt: skip


TEXT = """# The queue, measured

`python bench/queues.py` writes this page. {day}, Postgres {version} (embedded, fsync off), {cpus} CPUs ({machine}),
shared with other work: differences under 20 % mean little. Peers in the same run on the same server: {peers}.

Every system holds {finished} finished and {pending} pending jobs; ours belong to 1,000 tenants. Claims are followed by their
completion, one connection a consumer. "snapshot" is what a forgotten transaction (or a replication slot) does: nothing can be
vacuumed while 10,000 jobs are claimed and completed.

{table}

What ours does on top in the same calls: a fence on every write, a fair turn, the lanes, the sweep for dead workers, deadlines
and backoff, and two events for the user's page (claim and end).

- **Fairness**: A backfills 3,000 jobs; B's one job in the same lane waits for {waited} of them (first in, first out: 2,990).
- **Joins**: may this user watch this topic, asked through the policy on realtime.messages at {finished} jobs:
  p50 {join50:.2f} ms, p99 {join99:.2f} ms.

## Plans

Generic plans, as plpgsql caches them, after the run above. `tests/database/test_plans.py` keeps them.

{plans}"""


if __name__ == "__main__":
    asyncio.run(main())
