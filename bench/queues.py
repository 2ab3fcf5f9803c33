"""The queue measured beside its peers, turn by turn in one run on one server: writes bench/queue.md and bench/queue.json.

    python bench/queues.py [--finished 0 100000 1000000] [--pending 30000] [--rounds 3] [--quick]

Each system gets a process, and for each size of history a database, of its own on the embedded Postgres 18 (fsync off). The
peers are installed from PyPI into a temporary virtual environment. --quick is a look of a minute, and writes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any, Self

import asyncpg

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from bench import queue_page  # noqa: E402
from bench.queue_measure import quantile, timed  # noqa: E402
from bench.queue_ours import RhythmAI  # noqa: E402
from bench.queue_plans import explain  # noqa: E402
from bench.queue_rules import rules  # noqa: E402
from rhythmai.local.postgres import Postgres  # noqa: E402

PEERS = ["procrastinate==3.10.0", "pgqueuer==1.6.0", "asyncpg==0.32.0", "psycopg[binary,pool]"]
SYSTEMS = ["rhythmai", "procrastinate", "pgqueuer", "bare"]
CONSUMERS = [1, 4, 8]
Cells = dict[str, dict[str, float]]
"""Label to system to figure."""


class Seat:
    """One system at the table: a process that waits for its turn."""

    def __init__(self, python: Path, name: str, url: str) -> None:
        file = HERE / ("queue_peers.py" if name in {"procrastinate", "pgqueuer"} else "queue_ours.py")
        self._command = [str(python), str(file), name, url]

    async def turn(self, method: str, *arguments: object) -> Any:
        self._process.stdin.write(json.dumps([method, *arguments]).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(self._command)} ended in {method}: its error stands above")
        return json.loads(line)

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe, limit=2**24)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.stdin.close()
        await self._process.wait()


def peers(folder: Path) -> Path:
    """A Python with the peers installed."""
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", *PEERS], check=True)
    return folder / "bin" / "python"


async def database(server: Postgres, name: str) -> str:
    db = await asyncpg.connect(server.url())
    await db.execute(f"create database {name}")
    await db.close()
    return server.url(name)


async def cells(seats: dict[str, Seat], asked: argparse.Namespace) -> Cells:
    """All figures at one size of history, the best of the rounds; in each round every system has its turn."""
    found: dict[str, dict[str, list[float]]] = {}

    def note(label: str, name: str, figure: float) -> None:
        found.setdefault(label, {}).setdefault(name, []).append(figure)

    waits: dict[str, list[float]] = {name: [] for name in seats}
    for _ in range(asked.rounds):
        for name, seat in seats.items():
            waits[name] += await seat.turn("pick_ups", asked.pick_ups // asked.rounds)
    for name, times in waits.items():
        note("pick-up p50", name, quantile(times, 0.5))
        note("pick-up p99", name, quantile(times, 0.99))
    for _ in range(asked.rounds):
        for name, seat in seats.items():
            for label, figure in (await seat.turn("inserts", asked.inserts)).items():
                note(label, name, figure)
    for _ in range(2):
        for name, seat in seats.items():
            for label, figure in (await seat.turn("insert_many")).items():
                note(label, name, figure)
    for seat in seats.values():
        await seat.turn("fill", asked.pending)
    for _ in range(asked.rounds):
        for consumers in CONSUMERS:
            for name, seat in seats.items():
                for label, figure in (await seat.turn("consume", consumers, asked.jobs)).items():
                    note(label, name, figure)
    best = {label: max if label.startswith("jobs/s") else min for label in found}
    return {label: {name: best[label](f) for name, f in by_name.items()} for label, by_name in found.items()}


async def snapshots(seats: dict[str, Seat]) -> Cells:
    table: Cells = {"claim, first": {}, "claim, after 5,000": {}}
    for name, seat in seats.items():
        table["claim, first"][name], table["claim, after 5,000"][name] = await seat.turn("snapshot")
    return table


async def fairness(db: asyncpg.Connection) -> int:
    """How many claims go by before the one job of B, after A has backfilled 3,000 into the same lane and ten were served."""
    await db.execute("delete from public.jobs where status = 'pending'")
    worker = await db.fetchval("select queue.register('fair', '{generate}', '{}', '', '1 hour')")
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
    jobs = await db.fetch("select id, owner from public.jobs limit 300")
    times = []
    for job in jobs:
        async with db.transaction():
            await db.execute("select realtime.send('{}', 'probe', $1)", f"job:{job['id']}")
            claims = json.dumps({"sub": str(job["owner"]), "role": "authenticated"} if job["owner"] else {})
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


async def measure(server: Postgres, python: Path, asked: argparse.Namespace) -> dict[str, Any]:
    report: dict[str, Any] = {"cells": {}}
    for finished in asked.finished:
        seats = {
            name: Seat(
                python if name in {"procrastinate", "pgqueuer"} else Path(sys.executable),
                name,
                await database(server, f"{name}_{finished}"),
            )
            for name in SYSTEMS
        }
        started = time.perf_counter()
        for seat in seats.values():
            await seat.__aenter__()
        for seat in seats.values():
            await seat.turn("lay", finished)
        laid = time.perf_counter()
        report["cells"][finished] = await cells(seats, asked)
        print(f"{finished:,} finished: laid in {laid - started:.0f} s, measured in {time.perf_counter() - laid:.0f} s")
        print(queue_page.table(report["cells"][finished], SYSTEMS), flush=True)
        if finished == asked.finished[-1] and not asked.quick:
            report["snapshot"] = await snapshots(seats)
        for seat in seats.values():
            await seat.__aexit__()
    db = await asyncpg.connect(server.url(f"rhythmai_{asked.finished[-1]}"))
    report["version"] = await db.fetchval("show server_version")
    joins = await join(db)
    report["join p50"], report["join p99"] = quantile(joins, 0.5), quantile(joins, 0.99)
    report["plans"] = await plans(db)
    report["waited"] = await fairness(db)
    await db.close()
    await database(server, "rules")
    report["rules"] = await rules(server, RhythmAI(server.url("rules")).lay, 10 if asked.quick else 100)
    print(queue_page.rules(report["rules"]), flush=True)
    return report


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--finished", type=int, nargs="+", default=[0, 100_000, 1_000_000])
    parser.add_argument("--pending", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=400, help="claimed and completed in each turn of jobs/s")
    parser.add_argument("--pick-ups", type=int, default=120)
    parser.add_argument("--inserts", type=int, default=120)
    parser.add_argument("--peers", type=Path, help="a Python that has the peers already")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    if asked.quick:
        asked.finished, asked.pending, asked.jobs, asked.pick_ups, asked.inserts = [0], 10_000, 400, 90, 100
    with tempfile.TemporaryDirectory(prefix="rhythmai-bench-", ignore_cleanup_errors=True) as place:
        python = asked.peers or peers(Path(place) / "peers")
        server = Postgres(Path(place) / "data", password="bench", careless=True)
        server.start()
        try:
            report = await measure(server, python, asked)
        finally:
            server.stop()
    if not asked.quick:
        queue_page.write(HERE, report, systems=SYSTEMS, peers=PEERS[:2], pending=asked.pending)


if __name__ == "__main__":
    asyncio.run(main())
