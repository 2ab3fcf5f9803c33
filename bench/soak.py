"""Memory and soak: the local stack under mixed load, until what leaks would show. Writes soak.json, soak.svg and soak.md.

    python bench/soak.py [--seconds 1800] [--visitors 4] [--watchers 2] [--rest 1.0] [--seed N] [--out bench]

A warm-up and a quiet minute come first, a quiet time last: a minute, or until what pools and kept connections hold is let go. Exits with 1 when something grows, is not given back, or is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import asyncpg

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bench.soak_end import WAITING, End, judge  # noqa: E402
from bench.soak_films import broken_films, good_films, music  # noqa: E402
from bench.soak_page import Record  # noqa: E402
from bench.soak_samples import Samples  # noqa: E402
from bench.soak_site import Site  # noqa: E402
from bench.soak_visitors import Place, Visitors  # noqa: E402
from bench.soak_watchers import Watchers  # noqa: E402
from rhythmai.local.home import Home  # noqa: E402
from rhythmai.local.postgres import Postgres, free_port  # noqa: E402
from tests.chaos import audit  # noqa: E402

SAMPLE_S, QUIET_S, WARM_UP_S = 10.0, 60.0, 120.0
"""At most: a short run has less of each."""
LET_GO_S = 330
"""How long it may be quiet at the end until all is given back: a pool keeps a connection that nobody uses for five minutes.
A rehearsal does not wait for pools."""
DRAIN_S = 300
"""How long what was begun may take to end once nobody begins anything more."""
SLOTS = 3


class Stack:
    """`async with Stack(folder, site) as stack:` is a local stack of one's own in a process of its own."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.folder, self.home, self.scratch = folder, Home(folder / "stack"), folder / "scratch"
        self._site = site

    async def __aenter__(self) -> Self:
        self.scratch.mkdir(mode=0o711)
        script = self.folder / "audit.sql"
        script.write_text(f"{audit.SETUP}; update private.settings set backoff_cap = '4 s'")
        environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(self.scratch), "WORK_DIR": str(self.scratch),
            "WORKER_SLOTS": str(SLOTS), "WEBHOOK_SECRET": self._site.secret, "BASE_URL": f"{self._site.url}/v1", "VLM_MODEL": "soak",
            "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
        }  # fmt: skip
        arguments = (self.home.data, free_port(), free_port(), script)
        self._log = (self.folder / "stack.log").open("wb")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", Path(__file__).with_name("soak_stack.py"), *map(str, arguments),
            cwd=self.folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=self._log,
        )  # fmt: skip
        assert self._process.stdout is not None
        if await self._process.stdout.readline() != b"soak.ready\n":
            raise RuntimeError(f"the stack does not start: {(self.folder / 'stack.log').read_text()}")
        self.running = self.home.running() or self._gone()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()
        self._log.close()

    @property
    def samples(self) -> Samples:
        postgres = Postgres(self.home.postgres, password="").pid
        return Samples(self.home, self._process.pid, postgres or self._gone(), self.scratch)

    def restarted(self) -> int:
        """How many programs are not the ones that were started first."""
        now = (self.home.recorded() or self._gone()).children
        return sum(
            now[name] != tuple(first) and list(now[name]) != list(first)
            for name, first in self.running.children.items()
        )

    def _gone(self) -> None:
        raise RuntimeError(f"the stack is gone: its logs in {self.home.logs} say why")


class Soak:
    """One run over a running stack."""

    def __init__(
        self, stack: Stack, visitors: Visitors, watchers: Watchers, db: asyncpg.Connection, record: Record
    ) -> None:
        self.stack, self.visitors, self.watchers, self.db, self.record = stack, visitors, watchers, db, record
        self._samples = stack.samples
        self._asking = asyncio.Lock()
        """Samples are taken while somebody waits for the queue to be empty: one connection serves both."""

    async def run(self, crowd: int, beside: int) -> None:
        """Warm-up, quiet, load, quiet."""
        seconds = self.record.seconds
        quiet_s, warm_up_s = min(QUIET_S, seconds / 5), min(WARM_UP_S, seconds / 3)
        await self._load("warm-up", warm_up_s, crowd, beside)
        await self._during("quiet before", asyncio.sleep(quiet_s), quiet_s)
        await self._load("load", seconds, crowd, beside)
        await self._during("quiet after", self._let_go(quiet_s, min(LET_GO_S, max(20, seconds))), quiet_s)

    async def _let_go(self, quiet_s: float, at_most_s: float) -> None:
        began = time.monotonic()
        await asyncio.sleep(quiet_s)
        while not self.record.column("t_s", "quiet after"):  # where the machine is loaded a sample takes longer
            await asyncio.sleep(1)
        while time.monotonic() < began + at_most_s and not all(c.back for c in self.record.counts.values()):
            await asyncio.sleep(1)
        self.record.quiet_s = time.monotonic() - began

    async def _load(self, phase: str, seconds: float, crowd: int, beside: int) -> None:
        over = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, over.set)
        people = [self.visitors.visit(over) for _ in range(crowd)] + [self.watchers.watch(over) for _ in range(beside)]
        await self._during(phase, self._until_ended(asyncio.gather(*people, self._purge(over))), seconds)

    async def _until_ended(self, people: asyncio.Future[list[None]]) -> None:
        await people
        try:
            async with asyncio.timeout(DRAIN_S):
                while await self._waiting():
                    await asyncio.sleep(0.5)
        except TimeoutError:
            self.visitors.wrong.append(f"jobs and callbacks still wait after {DRAIN_S} s")

    async def _waiting(self) -> bool:
        async with self._asking:
            return bool(await self.db.fetchval(WAITING))

    async def _purge(self, over: asyncio.Event) -> None:
        command = ("-m", "rhythmai", "purge", "--older-than", "4m", "--data", str(self.stack.home.data))
        while not over.is_set():
            try:
                await asyncio.wait_for(over.wait(), max(self.record.seconds / 8, 20))
            except TimeoutError:
                purge = await asyncio.create_subprocess_exec(
                    sys.executable, "-P", *command, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
                    cwd=self.stack.folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
                )  # fmt: skip
                said, _ = await purge.communicate()
                self.record.done["purge"] += 1
                if purge.returncode:
                    self.visitors.wrong.append(f"purge ended with {purge.returncode}: {said.decode()}")

    async def _during(self, phase: str, what: object, seconds: float) -> None:
        """Sample while something runs; the first sample comes after a pause, and one comes last."""
        task = asyncio.ensure_future(what)  # type: ignore[call-overload]
        every_s = min(SAMPLE_S, seconds / 6)
        while not task.done():
            await asyncio.wait({task}, timeout=every_s)
            async with self._asking:
                self.record.samples.append((phase, await self._samples.take(self.db)))
            self._show(phase)
        await task

    def _show(self, phase: str) -> None:
        sample = self.record.samples[-1][1]
        shown = (
            "worker.rss_mb",
            "api.rss_mb",
            "gateway.rss_mb",
            "worker.fds",
            "api.fds",
            "gateway.fds",
            "db.connections",
            "files.scratch",
        )
        figures = " ".join(f"{name}={sample[name]:g}" for name in shown)
        ends, wrong = sum(self.visitors.ends.values()), len(self.visitors.wrong) + len(self.watchers.wrong)
        print(f"{sample['t_s']:7.0f} s {phase:<12} {figures} ends={ends} wrong={wrong}", flush=True)


async def soak(asked: argparse.Namespace, folder: Path) -> tuple[Record, End]:
    dice = random.Random(asked.seed)
    films = folder / "films"
    films.mkdir()
    good, bad, songs = good_films(films), broken_films(films, dice), music(films)
    record = Record(
        seconds=asked.seconds, command=" ".join(["python bench/soak.py", *sys.argv[1:]]),
        machine=f"{os.cpu_count()} cores of a shared machine, {datetime.now(UTC).date().isoformat()}",
    )  # fmt: skip
    async with Site(films, f"whsec_{secrets.token_hex(16)}", dice) as site, Stack(folder, site) as stack:
        environment = stack.running.environment
        place = Place(
            url=stack.running.url, publishable_key=environment["SUPABASE_PUBLISHABLE_KEY"], secret_key=environment["SUPABASE_KEY"],
            database_url=environment["DATABASE_URL"], site=site, films=good, broken=bad, music=songs,
        )  # fmt: skip
        visitors = Visitors(place=place, dice=dice, rest_s=asked.rest)
        watchers = Watchers(place=place, visitors=visitors, dice=dice, rest_s=asked.rest)
        db = await asyncpg.connect(place.database_url, server_settings={"application_name": "soak"})
        try:
            await Soak(stack, visitors, watchers, db, record).run(asked.visitors, asked.watchers)
            record.wrong = visitors.wrong + watchers.wrong
            record.ends = visitors.ends
            record.done += visitors.done + watchers.done
            end = await judge(db, visitors, site, restarted=stack.restarted(), wrong=len(record.wrong))
        finally:
            db.terminate()
            if asked.keep:
                shutil.copytree(stack.home.logs, asked.keep, dirs_exist_ok=True)
    return record, end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--visitors", type=int, default=4)
    parser.add_argument("--watchers", type=int, default=2)
    parser.add_argument("--rest", type=float, default=1.0, help="seconds that everybody rests between two things")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--keep", type=Path, default=None, help="a folder for the logs")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rhythmai-soak-", ignore_cleanup_errors=True) as folder:
        record, end = asyncio.run(soak(asked, Path(folder)))
    (asked.out / "soak.json").write_text(json.dumps(record.as_json(end)) + "\n")
    (asked.out / "soak.svg").write_text(record.picture())
    page = record.page(end)
    (asked.out / "soak.md").write_text(page)
    print(page)
    for line in record.wrong[:50]:
        print("wrong:", line)
    sys.exit(not (end.sound and record.flat))


if __name__ == "__main__":
    main()
