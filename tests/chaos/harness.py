"""`make chaos`: several workers on a local stack while everything around them breaks. Ends with one line and an exit code.

python tests/chaos/harness.py --jobs 40 --seconds 60 --workers 3 [--seed N]
"""

import argparse
import asyncio
import json
import os
import random
import secrets
import signal
import sys
import tempfile
import time
import uuid
from pathlib import Path

import asyncpg

sys.path.insert(0, str(Path(__file__).parent))
import audit
from road import Road

from rhythmai import schema
from rhythmai.local.postgres import Postgres, free_port
from rhythmai.project import AWAY
from rhythmai.sample import make_sample
from rhythmai.schema import BASELINE
from worker.storage import SupabaseStorage

LEASE_S = 4


class Program:
    """A child that is killed, stopped and started again."""

    def __init__(self, name, module, environment, log):
        self.name, self.module, self.environment, self.log = name, module, environment, log
        self.process = None

    async def start(self):
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", self.module, env=os.environ | self.environment, stdout=log, stderr=log
            )

    async def end(self, how=signal.SIGTERM, patience_s=20):
        if self.process.returncode is None:
            self.process.send_signal(how)
        try:
            await asyncio.wait_for(self.process.wait(), patience_s)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


class Chaos:
    def __init__(self, folder, *, workers, seed):
        self.folder, self.count, self.random = folder, workers, random.Random(seed)
        self.deaths, self.done = [], {}

    async def run(self, jobs, seconds):
        """Break things for `seconds` while `jobs` jobs run, then let the rest finish; returns the verdict."""
        self.postgres = Postgres(self.folder / "postgres", password=secrets.token_hex(8), port=free_port())
        await asyncio.to_thread(self.postgres.start)
        gateway_port = free_port()
        async with Road(f"http://127.0.0.1:{gateway_port}") as self.road:
            environment = {
                "DATABASE_URL": self.postgres.url(), "SUPABASE_URL": self.road.url, "SUPABASE_KEY": "sb_secret_chaos",
                "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_chaos", "JWT_SECRET": secrets.token_hex(32),
                "GATEWAY_PORT": str(gateway_port), "STORAGE_DIR": str(self.folder / "storage"), "ENGINE": "sketch",
                "LEASE_S": str(LEASE_S), "POLL_S": "1", "GRACE_S": "2", "BASE_URL": "",
                "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
            }  # fmt: skip
            await self.lay()
            self.gateway = Program("gateway", "rhythmai.local.gateway", environment, self.folder / "gateway.log")
            await self.gateway.start()
            self.workers = [
                Program(f"box{i}", "worker", environment | {"WORKER_NAME": f"box{i}"}, self.folder / f"box{i}.log")
                for i in range(self.count)
            ]
            try:
                video = await self.upload(environment)
                for worker in self.workers:
                    await worker.start()
                await asyncio.gather(self.insert(jobs, seconds, video), self.break_things(seconds))
                return await self.finish()
            finally:
                for program in (*self.workers, self.gateway):
                    if program.process and program.process.returncode is None:
                        program.process.send_signal(signal.SIGCONT)
                        await program.end(signal.SIGKILL)
                await asyncio.to_thread(self.postgres.stop)

    async def lay(self):
        db = await asyncpg.connect(self.postgres.url())
        await db.execute(BASELINE.read_text())
        await schema.migrate(db, schema.bundled())
        await db.execute(audit.SETUP)
        await db.execute("update private.settings set backoff_cap = '4 s'")
        await db.close()

    async def upload(self, environment):
        sample = self.folder / "sample.mp4"
        await asyncio.to_thread(make_sample, sample, 1.5)
        storage = SupabaseStorage(self.road.url, environment["SUPABASE_KEY"], tries=6)
        try:  # some tries pass until the gateway listens
            return await storage.put("uploads", f"{secrets.token_hex(16)}.mp4", sample, "video/mp4")
        finally:
            await storage.close()

    async def ask(self, call, *arguments):
        """One answer from the database, whenever it is there."""
        while True:
            try:
                db = await asyncpg.connect(self.postgres.url(), timeout=5)
                try:
                    return await getattr(db, call)(*arguments)
                finally:
                    await db.close()
            except AWAY:
                await asyncio.sleep(0.1)

    async def insert(self, jobs, seconds, video):
        for i in range(jobs):
            lane = "interactive" if i % 3 else "batch"
            options = json.dumps({"variants": 2, "seed": i})
            # An id of our own makes the insert repeatable: it may have committed before the connection broke.
            await self.ask(
                "execute",
                "insert into public.jobs (id, video_url, lane, options) values ($1, $2, $3, $4) on conflict (id) do nothing",
                uuid.uuid4(), video, lane, options,
            )  # fmt: skip
            await asyncio.sleep(seconds * 0.8 / jobs)

    async def break_things(self, seconds):
        end = time.monotonic() + seconds
        actions = [self.kill, self.kill, self.stop_for_a_while, self.stop_for_a_while, self.drain,
                   self.restart_postgres, self.restart_gateway, self.break_storage]  # fmt: skip
        while time.monotonic() < end:
            action = self.random.choice(actions)
            self.done[action.__name__] = self.done.get(action.__name__, 0) + 1
            await action()
            await asyncio.sleep(self.random.uniform(0.5, 2.5))

    async def held(self, worker):
        rows = await self.ask(
            "fetch",
            "select now() as at, j.id, j.attempt from public.jobs j join public.workers w on w.id = j.worker_id"
            " where w.name = $1 and j.status = 'processing'",
            worker.name,
        )
        return [tuple(row) for row in rows]

    async def kill(self):
        worker = self.random.choice(self.workers)
        self.deaths += await self.held(worker)
        await worker.end(signal.SIGKILL)
        await worker.start()

    async def stop_for_a_while(self):
        """A zombie: silent for longer than its lease, then awake again in the middle of its work."""
        worker = self.random.choice(self.workers)
        worker.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(LEASE_S * self.random.uniform(1.1, 2.0))
        worker.process.send_signal(signal.SIGCONT)

    async def drain(self):
        worker = self.random.choice(self.workers)
        await worker.end(signal.SIGTERM)
        await worker.start()

    async def restart_postgres(self):
        await asyncio.to_thread(self.postgres.stop)
        await asyncio.sleep(self.random.uniform(0, 3))
        await asyncio.to_thread(self.postgres.start)

    async def restart_gateway(self):
        await self.gateway.end(signal.SIGKILL)
        await asyncio.sleep(self.random.uniform(0, 3))
        await self.gateway.start()

    async def break_storage(self):
        self.road.broken = True
        await asyncio.sleep(self.random.uniform(0.5, 3))
        self.road.broken = False

    async def finish(self, patience_s=240):
        """Leave everything alone until no job is open, then judge."""
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            if not await self.ask(
                "fetchval", "select count(*) from public.jobs where status in ('pending', 'processing')"
            ):
                break
            await asyncio.sleep(0.5)
        db = await asyncpg.connect(self.postgres.url())
        try:
            return await audit.judge(db, self.deaths)
        finally:
            await db.close()


async def run(*, jobs, seconds, workers=3, seed=None, keep=None):
    with tempfile.TemporaryDirectory(prefix="rhythmai-chaos-", ignore_cleanup_errors=True) as folder:
        chaos = Chaos(Path(keep or folder), workers=workers, seed=seed)
        verdict = await chaos.run(jobs, seconds)
        print("broken:", ", ".join(f"{name} {count}x" for name, count in sorted(chaos.done.items())), flush=True)
        return verdict


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--jobs", type=int, default=40)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--workers", type=int, default=3)
    options.add_argument("--seed", type=int, default=None)
    options.add_argument("--keep", type=Path, default=None, help="an empty folder for logs and data")
    verdict = asyncio.run(run(**vars(options.parse_args())))
    print(verdict)
    sys.exit(not verdict.clean)


if __name__ == "__main__":
    main()
