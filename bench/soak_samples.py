"""What the stack holds at a moment: memory, descriptors, threads and children of its programs, files, and what the database says of itself."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from rhythmai.local.home import Home

MB = 2**20
Sample = dict[str, float]
"""Values by name: `api.pss_mb`, `worker.fds`, `files.scratch` ... ; `t_s` is the time since the start."""
CONNECTIONS = """
select coalesce(nullif(application_name, ''), backend_type) as name, count(*) as number
  from pg_stat_activity where backend_type in ('client backend', 'walsender') and pid <> pg_backend_pid() group by 1
"""
DATABASE = """
select (select count(*) from public.jobs where status = 'pending') as "jobs.waiting",
       (select count(*) from public.jobs where status = 'processing') as "jobs.running",
       (select count(*) from public.jobs) as "jobs.kept",
       (select count(*) from public.deliveries where state = 'pending') as "deliveries.waiting",
       (select count(*) from pg_replication_slots) as "db.slots",
       (select coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0) / 1048576 from pg_replication_slots) as "db.kept_wal_mb",
       (select coalesce(sum(n_dead_tup), 0) from pg_stat_user_tables where schemaname <> 'audit') as "db.dead_rows",
       (select coalesce(sum(pg_total_relation_size(c.oid)), 0) / 1048576 from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'm') and n.nspname in ('public', 'private', 'queue')) as "db.queue_mb",
       (select coalesce(sum(pg_total_relation_size(c.oid)), 0) / 1048576 from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'm') and n.nspname in ('realtime', 'storage')) as "db.stand_in_mb",
       (select coalesce(extract(epoch from max(now() - xact_start)), 0) from pg_stat_activity
         where backend_type = 'client backend' and pid <> pg_backend_pid()) as "db.oldest_transaction_s"
"""


class Samples:
    """Takes samples of the stack in `home`, whose temporary files lie in `scratch`. Blocking parts: call them from a thread."""

    def __init__(self, home: Home, stack_pid: int, postgres_pid: int, scratch: Path) -> None:
        self._home, self._scratch = home, scratch
        self._stack, self._postgres = stack_pid, postgres_pid
        self._start = time.monotonic()

    async def take(self, db: asyncpg.Connection) -> Sample:
        sample = {
            "t_s": round(time.monotonic() - self._start, 1),
            "machine.load": os.getloadavg()[0],
        } | await asyncio.to_thread(self.programs)
        sample |= {name: float(value) for name, value in (await db.fetchrow(DATABASE)).items()}
        connections = {row["name"]: row["number"] for row in await db.fetch(CONNECTIONS)}
        sample["db.connections"] = sum(n for name, n in connections.items() if not name.startswith("soak"))
        for name in ("rhythmai worker", "rhythmai api", "gateway"):
            sample[f"db.connections of {name.removeprefix('rhythmai ')}"] = connections.get(name, 0)
        return sample

    def programs(self) -> Sample:
        children = (self._home.recorded() or self._gone()).children
        sample: Sample = {}
        for name, pids in {
            **{name: [pid] for name, (pid, _) in children.items()},
            "children": _below(children["worker"][0]),
            "postgres": [self._postgres, *_below(self._postgres)],
            "stack": [self._stack],
        }.items():
            sample |= {f"{name}.{what}": value for what, value in _held(pids).items()}
        for name, folder in (("files.scratch", self._scratch), ("files.partial", self._home.storage / "partial")):
            sample[name], _ = _files(folder)
        sample["files.stored"], size = _files(self._home.storage / "objects")
        sample["files.stored_mb"] = size / MB
        sample["files.logs_mb"] = _files(self._home.logs)[1] / MB
        return sample

    def _gone(self) -> Any:
        raise RuntimeError(f"the stack in {self._home.data} is gone: its logs in {self._home.logs} say why")


def _below(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _held(pids: Iterable[int]) -> Sample:
    """Sums over processes; one that ends meanwhile holds nothing. `pss_mb` shares common pages out, `own_mb` leaves them out."""
    held: Counter[str] = Counter()
    for pid in pids:
        try:
            process = psutil.Process(pid)
            memory = process.memory_full_info()
            kinds = [_kind(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()]
            one = {
                "processes": 1, "rss_mb": memory.rss / MB, "pss_mb": memory.pss / MB, "own_mb": memory.uss / MB,
                "threads": process.num_threads(), "fds": len(kinds), "sockets": kinds.count("socket"),
            }  # fmt: skip
        except (psutil.Error, OSError):
            continue
        held.update(one)
    names = ("processes", "rss_mb", "pss_mb", "own_mb", "threads", "fds", "sockets")
    return {name: round(float(held[name]), 2) for name in names}


def _kind(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink()).partition(":")[0]
    except OSError:
        return "gone"


def _files(folder: Path) -> tuple[int, int]:
    """How many files and folders lie below, and the files' bytes."""
    count = size = 0
    for place, folders, names in os.walk(folder):
        count += len(folders)
        for name in names:
            try:
                size += Path(place, name).lstat().st_size
                count += 1
            except OSError:
                continue
    return count, size
