"""`make chaos`: several workers on a local stack while everything around them breaks. Ends with one line and an exit code.

python tests/chaos/harness.py --jobs 40 --seconds 60 --workers 3 [--seed N]
"""

import argparse
import asyncio
import json
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
from program import Program
from receiver import Receiver
from road import Road
from trouble import Trouble

from rhythmai import schema
from rhythmai.local.postgres import AlreadyRunning, Postgres, PostgresFailed, free_port
from rhythmai.sample import make_sample
from supabase_standin import BASELINE
from worker.assembly import EXIT_START_AGAIN
from worker.database import AWAY
from worker.errors import ServiceAway
from worker.scratch import PREFIX
from worker.storage import SupabaseStorage

SETTLE_S = 300
"""How long the rest may take once nothing is broken any more; far more than it needs."""
START_S = 300
"""How long Postgres may take to start or stop on a busy machine."""


class Chaos:
    lease_s = 4
    job_timeout_s = 60

    def __init__(self, folder, *, workers, seed):
        self.folder, self.count, self.quit = folder, workers, []
        self.trouble = Trouble(self, random.Random(seed))
        (folder / "work").mkdir()

    async def run(self, jobs, seconds):
        """Break things for `seconds` while `jobs` jobs run, then let the rest finish; returns the verdict."""
        self.postgres = Postgres(self.folder / "postgres", password=secrets.token_hex(8), port=free_port())
        gateway_port, secret = free_port(), f"whsec_{secrets.token_hex(16)}"
        async with Road(f"http://127.0.0.1:{gateway_port}") as self.road, Receiver(secret) as self.receiver:
            await self.start_postgres()
            environment = {
                "DATABASE_URL": self.postgres.url(), "SUPABASE_URL": self.road.url, "SUPABASE_KEY": "sb_secret_chaos",
                "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_chaos", "JWT_SECRET": secrets.token_hex(32),
                "GATEWAY_PORT": str(gateway_port), "STORAGE_DIR": str(self.folder / "storage"), "ENGINE": "sketch",
                "LEASE_S": str(self.lease_s), "POLL_S": "1", "GRACE_S": "2", "JOB_TIMEOUT_S": str(self.job_timeout_s), "BASE_URL": "",
                "WORK_DIR": str(self.folder / "work"), "WEBHOOK_SECRET": secret,
                "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
            }  # fmt: skip
            gateway = ("-m", "supabase_standin")
            self.gateway = Program("gateway", gateway, environment, self.folder / "gateway.log")
            command = (Path(__file__).with_name("hanging_worker.py"),)
            self.workers = [
                Program(
                    name,
                    command,
                    environment | {"WORKER_NAME": name, "HANG": str(self.hang(name)), "CLAIM": str(self.fails(name))},
                    self.folder / f"{name}.log",
                )
                for name in (f"worker{i}" for i in range(self.count))
            ]
            try:
                await self.lay()
                await self.gateway.start()
                video = await self.upload(environment["SUPABASE_KEY"])
                for worker in self.workers:
                    await worker.start()
                await asyncio.gather(self.insert(jobs, seconds, video), self.trouble.make(seconds))
                return await self.finish(jobs)
            finally:
                for program in (*self.workers, self.gateway):
                    if program.process:
                        program.tell(signal.SIGCONT)
                        await program.end(signal.SIGKILL)
                await self.stop_postgres("immediate")

    def hang(self, name):
        """While this file is there, the engine of that worker hangs."""
        return self.folder / f"{name}.hangs"

    def fails(self, name):
        """While this file is there, the claims of that worker fail."""
        return self.folder / f"{name}.fails"

    async def lay(self):
        async def build(db):
            await db.execute(BASELINE.read_text())
            await schema.migrate(db, schema.bundled())
            await db.execute(audit.SETUP)
            await db.execute("update private.settings set backoff_cap = '4 s'")

        await self.with_database(build)

    async def upload(self, key):
        """The film that all jobs are made from, once the gateway listens."""
        sample = self.folder / "sample.mp4"
        await asyncio.to_thread(make_sample, sample, 1.5)
        storage = SupabaseStorage(self.road.url, key, tries=1)
        try:
            while True:
                try:
                    return await storage.put("uploads", f"{secrets.token_hex(16)}.mp4", sample, "video/mp4")
                except ServiceAway:
                    if self.gateway.gone is not None:
                        raise
                    await asyncio.sleep(0.1)
        finally:
            await storage.close()

    async def with_database(self, do):
        """What `do(connection)` answers, whenever the database is there; it may be asked twice."""
        while True:
            try:
                db = await asyncpg.connect(self.postgres.url(), timeout=10)
                try:
                    return await do(db)
                finally:
                    db.terminate()
            except AWAY:
                await asyncio.sleep(0.1)

    async def ask(self, call, *arguments):
        return await self.with_database(lambda db: getattr(db, call)(*arguments))

    async def until(self, question, *arguments, patience_s=SETTLE_S / 2):
        """Wait for a yes; whoever wants to know whether it came looks again. Workers that ended by themselves are noted."""
        end = time.monotonic() + patience_s
        while not await self.ask("fetchval", question, *arguments) and time.monotonic() < end:
            for worker in self.workers:
                await self.revive(worker)
            await asyncio.sleep(0.2)

    async def insert(self, jobs, seconds, video):
        for i in range(jobs):
            lane = "interactive" if i % 3 else "batch"
            options = {"variants": 2, "seed": i} | ({"callback_url": self.receiver.url} if i % 2 else {})
            # An id of our own makes the insert repeatable: it may have committed before the connection broke.
            await self.ask(
                "execute",
                "insert into public.jobs (id, video_url, lane, options) values ($1, $2, $3, $4) on conflict (id) do nothing",
                uuid.uuid4(), video, lane, json.dumps(options),
            )  # fmt: skip
            await asyncio.sleep(seconds * 0.8 / jobs)

    async def revive(self, worker):
        """Start a worker that ended by itself, which none should but one whose engine was made to hang: it ends to be started again."""
        if worker.gone is not None:
            if worker.gone != EXIT_START_AGAIN or worker not in self.trouble.hung:
                self.quit.append(f"{worker.name} ended by itself with code {worker.gone}: see {worker.log}")
            await worker.start()

    async def start_postgres(self):
        for _ in range(5):
            try:
                return await asyncio.to_thread(self.postgres.start, within_s=START_S)
            except AlreadyRunning:
                return None
            except PostgresFailed as error:
                trouble = error
                await asyncio.sleep(1)
        raise trouble

    async def stop_postgres(self, how):
        await asyncio.to_thread(self.postgres.stop, how, within_s=START_S)

    async def finish(self, jobs):
        """Leave everything alone until no job is open and no callback waits, then judge."""
        await self.until("select not exists (select from public.jobs where status in ('pending', 'processing'))")
        # A callback that was refused, or whose worker died, would wait for a minute: its time has come.
        await self.ask("execute", "update public.deliveries set next_at = now() where state = 'pending'")
        await self.until("select not exists (select from public.deliveries where state = 'pending')")
        urls = [row["audio_url"] for row in await self.ask("fetch", "select audio_url from public.results")]
        changed = await self.road.changed(urls)
        folders = [entry.name for entry in (self.folder / "work").iterdir()]
        ours = sum(name.startswith(PREFIX) for name in folders)
        for trouble in (*self.quit, *changed):
            print("found:", trouble, flush=True)
        return await self.with_database(
            lambda db: audit.judge(
                db, inserted=jobs, deaths=self.trouble.deaths, cancels=self.trouble.cancels, receiver=self.receiver,
                changed=len(changed), quit=len(self.quit), left=len(folders) - ours + max(0, ours - self.count),
            )
        )  # fmt: skip


async def run(*, jobs, seconds, workers=3, seed=None, keep=None):
    with tempfile.TemporaryDirectory(prefix="rhythmai-chaos-", ignore_cleanup_errors=True) as folder:
        chaos = Chaos(Path(keep or folder), workers=workers, seed=seed)
        try:
            async with asyncio.timeout(START_S + seconds + 2 * SETTLE_S):
                verdict = await chaos.run(jobs, seconds)
        finally:
            print(
                "broken:",
                ", ".join(f"{name} {count}x" for name, count in sorted(chaos.trouble.done.items())),
                flush=True,
            )
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
