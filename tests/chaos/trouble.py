"""What goes wrong: one hand breaks workers, another the services they need, each in the order of a shuffled deck."""

import asyncio
import signal
import time
from contextlib import suppress

import psutil

OPEN = "select j.id, j.attempt, w.name from public.jobs j left join public.workers w on w.id = j.worker_id where j.status = any($1)"


class Trouble:
    """Breaks the parts of `chaos`; remembers which deaths and cancels it caused, and how often it did what."""

    def __init__(self, chaos, dice):
        self.chaos, self.dice = chaos, dice
        self.deaths, self.cancels, self.hung, self.done = [], set(), [], {}

    async def make(self, seconds):
        self.end = time.monotonic() + seconds
        await asyncio.gather(
            self.one_by_one(
                self.kill, self.kill_zygote, self.stop_for_a_while, self.drain, self.hang, self.hang_for_good,
                self.fail_claims, self.cancel,
                rest_s=2,
            ),
            self.one_by_one(
                self.restart_postgres, self.crash_postgres, self.restart_gateway, self.break_storage, self.break_receiver,
                rest_s=5,
            ),
        )  # fmt: skip

    async def one_by_one(self, *actions, rest_s):
        """Each once before any comes twice, with a rest of up to `rest_s` between two."""
        deck = []
        while time.monotonic() < self.end:
            deck = deck or self.dice.sample(actions, len(actions))
            action = deck.pop()
            self.done[action.__name__] = self.done.get(action.__name__, 0) + 1
            await action()
            await asyncio.sleep(self.dice.uniform(0.5, rest_s))

    async def victim(self):
        """A worker, one that works if any does before the end, and what it holds as (now, job, attempt)."""
        busy = "select count(*) > 0 from public.jobs where status = 'processing'"
        await self.chaos.until(busy, patience_s=self.end - time.monotonic())
        now = await self.chaos.ask("fetchval", "select now()")
        jobs = await self.chaos.ask("fetch", OPEN, ["processing"])
        names = {job["name"] for job in jobs}
        worker = self.dice.choice([w for w in self.chaos.workers if w.name in names] or self.chaos.workers)
        await self.chaos.revive(worker)
        return worker, [(now, job["id"], job["attempt"]) for job in jobs if job["name"] == worker.name]

    async def kill(self):
        worker, held = await self.victim()
        self.deaths += held
        await worker.end(signal.SIGKILL)
        await worker.start()

    async def kill_zygote(self):
        """The warm process that decoders are forked from: their films are looked at again, and nobody else notices."""
        worker, _ = await self.victim()
        with suppress(psutil.NoSuchProcess):  # the worker has just ended, or it
            for child in psutil.Process(worker.process.pid).children():
                if "worker.pipeline.look.zygote" in child.cmdline():
                    child.kill()

    async def stop_for_a_while(self):
        """A zombie: silent for longer than its lease, then awake again in the middle of its work."""
        worker, _ = await self.victim()
        worker.tell(signal.SIGSTOP)
        await asyncio.sleep(self.chaos.lease_s * self.dice.uniform(1.1, 2.0))
        worker.tell(signal.SIGCONT)

    async def hang(self):
        """A device that hangs under a living heart: the deadline takes its jobs away, and then it goes on."""
        worker, held = await self.victim()
        jobs, hang = [job for _, job, _ in held], self.chaos.hang(worker.name)
        self.hung.append(worker)
        hang.write_text("compose")
        mine = "id = any($1) and status = 'processing' and worker_id in (select id from public.workers where name = $2)"
        await self.chaos.ask("execute", f"update public.jobs set deadline_at = now() where {mine}", jobs, worker.name)
        overdue = "id = any($1) and status = 'processing' and deadline_at < now()"
        await self.chaos.until(f"select not exists (select from public.jobs where {overdue})", jobs, patience_s=20)
        hang.unlink()

    async def hang_for_good(self):
        """One that does not go on, while a film is watched: its worker finds out by itself, long before the deadline, and ends."""
        worker, _ = await self.victim()
        hang, end = self.chaos.hang(worker.name), time.monotonic() + 2 * self.chaos.job_timeout_s
        self.hung.append(worker)
        hang.write_text(self.dice.choice(["prepare", "watch"]))
        while worker.gone is None and time.monotonic() < end:
            await asyncio.sleep(0.2)
            if time.monotonic() > self.end and not await self.chaos.ask("fetch", OPEN, ["pending", "processing"]):
                break  # none will come any more that could hang
        hang.unlink()

    async def fail_claims(self):
        """Every claim of a worker fails for a reason that nobody foresaw; it backs off, and works again afterwards."""
        worker, _ = await self.victim()
        fails = self.chaos.fails(worker.name)
        fails.touch()
        await asyncio.sleep(self.dice.uniform(1, 5))
        fails.unlink()

    async def cancel(self):
        jobs = await self.chaos.ask("fetch", OPEN, ["pending", "processing"])
        if jobs:
            job = self.dice.choice(jobs)["id"]
            self.cancels.add(job)
            await self.chaos.ask("execute", "select queue.cancel($1)", job)

    async def drain(self):
        worker, _ = await self.victim()
        await worker.end(signal.SIGTERM)
        await worker.start()

    async def restart_postgres(self, how="fast"):
        await self.chaos.stop_postgres(how)
        await asyncio.sleep(self.dice.uniform(0, 3))
        await self.chaos.start_postgres()

    async def crash_postgres(self):
        await self.restart_postgres("immediate")

    async def restart_gateway(self):
        await self.chaos.gateway.end(signal.SIGKILL)
        await asyncio.sleep(self.dice.uniform(0, 3))
        await self.chaos.gateway.start()

    async def refuse(self, service):
        service.broken = True
        await asyncio.sleep(self.dice.uniform(0.5, 3))
        service.broken = False

    async def break_storage(self):
        await self.refuse(self.chaos.road)

    async def break_receiver(self):
        await self.refuse(self.chaos.receiver)
