"""Random interleavings of everything that can happen to jobs, held against a model of a few lines."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.conftest import FUZZ
from tests.database.desk import EMPTY, Queue, Worker, connect
from tests.database.model import ENDED, Lease, Model

NEWEST_ONLY = True
ENGINES = ("mmaudio", "acestep", "sketch")


class Life(RuleBasedStateMachine):
    """Several workers, several jobs. `leases` keeps every lease that ever was: old ones write as zombies."""

    jobs = Bundle("jobs")
    workers = Bundle("workers")
    leases = Bundle("leases")

    def __init__(self, runner: asyncio.Runner, queue: Queue) -> None:
        super().__init__()
        self.run = runner.run
        self.queue = queue
        self.models: dict[UUID, Model] = {}
        self.strict = False
        self.silent: set[int] = set()
        self.left: set[int] = set()
        self.before: dict[UUID, Any] = {}
        self.run(queue.db.execute(EMPTY))

    def verdict(self, lease: Lease) -> str:
        model = self.models[lease.job]
        if (model.status, model.attempt, model.holder) != ("processing", lease.attempt, lease.worker.id):
            return "lost"
        return "cancelled" if model.cancelling else "ok"

    def swept(self) -> None:
        """The silent lose what they hold, and so does whoever is overdue."""
        for model in self.models.values():
            if model.holder in self.silent or model.overdue:
                model.taken_away()

    @initialize(strict=st.booleans())
    def settle(self, strict: bool) -> None:
        """Some claims look elsewhere than whose turn it is; where none does, the order is certain."""
        self.strict = strict
        share = "batch_first_share = 0, " if strict else ""
        self.run(self.queue.db.execute(f"update private.settings set {share}pending_per_client = 1000"))

    @rule(
        target=jobs, interactive=st.booleans(), variants=st.integers(1, 3), hook=st.booleans(), engine=st.sampled_from(("", *ENGINES)),
        tenant=st.sampled_from("ab"), priority=st.sampled_from((0, 0, 0, 1, -1)),
    )  # fmt: skip
    def submit(self, interactive: bool, variants: int, hook: bool, engine: str, tenant: str, priority: int) -> UUID:
        options = {"variants": variants, "engine": engine or "auto"} | (
            {"callback_url": "https://hook"} if hook else {}
        )
        if interactive:
            job, priority = self.run(self.queue.submit(p_options=options, p_client=tenant)), 0
        else:
            job = self.run(self.queue.insert(options=options, tenant=tenant, priority=priority))
        self.models[job] = Model(variants, hook, engine, "interactive" if interactive else "batch", priority)
        return job

    @rule(
        target=jobs,
        engines=st.lists(st.sampled_from(("", *ENGINES)), min_size=3, max_size=8),
        tenant=st.sampled_from("ab"),
    )
    def backfill(self, engines: list[str], tenant: str) -> Any:
        return multiple(*(self.submit(False, 1, False, engine, tenant, 0) for engine in engines))

    @rule(target=workers, engines=st.lists(st.sampled_from(ENGINES), min_size=1, max_size=2, unique=True))
    def start(self, engines: list[str]) -> Worker:
        return self.run(self.queue.worker(engines=tuple(engines)))

    @rule(target=leases, worker=workers)
    def claim(self, worker: Worker) -> Any:
        self.run(self.queue.db.execute("select setval('private.swept_ms', 0)"))  # long ago: a sweep is due
        job = self.run(worker.claim())
        if worker.id in self.silent:
            assert job is None
            return multiple()
        self.swept()
        waiting = self.run(
            self.queue.db.fetch("select id, turn from public.jobs where run_at is null and status = 'pending'")
        )
        ours = {row["id"]: row["turn"] for row in waiting if self.models[row["id"]].may_go_to(worker)}
        if job is None:
            assert ours == {}
            return multiple()
        lease = Lease(UUID(job["id"]), job["attempt"], worker)
        model = self.models[lease.job]
        assert (model.status, model.attempt + 1) == ("pending", lease.attempt)
        assert model.may_go_to(worker)
        if self.strict:
            assert (model.place, job["turn"]) < min(
                ((self.models[other].place, turn) for other, turn in ours.items()), default=((True, 99), 0)
            )
        assert sorted(model.results) == job["done"]
        model.status, model.attempt, model.holder = "processing", lease.attempt, worker.id
        return lease

    @rule()
    def sweep(self) -> None:
        self.run(self.queue.sweep())
        self.swept()

    @rule(worker=workers)
    def crash(self, worker: Worker) -> None:
        self.run(worker.crash())
        self.silent.add(worker.id)

    @rule(lease=leases)
    def beat(self, lease: Lease) -> None:
        """A worker that was silent comes back and hears what became of its job."""
        told = self.run(lease.worker.beat(lease.fields))
        verdict = self.verdict(lease)
        assert told == ({} if verdict == "ok" else {lease.job: verdict}) | (
            {None: "gone"} if lease.worker.id in self.left else {}
        )
        self.silent.discard(lease.worker.id)
        for job, model in self.models.items():
            if model.holder == lease.worker.id and model.unknown and (job, model.attempt) != (lease.job, lease.attempt):
                model.max_attempts += 1
                model.end_attempt(again=True)

    @rule(lease=leases)
    def lose_the_answer(self, lease: Lease) -> None:
        """The claim's answer never arrived, and has had its time: a beat that does not name the job hands it back."""
        sql = "update public.jobs set claimed_at = now() - interval '1 minute' where id = $1 and attempt = $2 and worker_id = $3"
        self.run(self.queue.db.execute(sql, lease.job, lease.attempt, lease.worker.id))
        if self.verdict(lease) != "lost":
            self.models[lease.job].unknown = True

    @rule(lease=leases)
    def run_out_of_time(self, lease: Lease) -> None:
        sql = "update public.jobs set deadline_at = now() - interval '1 s' where id = $1 and attempt = $2 and worker_id = $3"
        self.run(self.queue.db.execute(sql, lease.job, lease.attempt, lease.worker.id))
        if self.verdict(lease) != "lost":
            self.models[lease.job].overdue = True

    @rule()
    def wait(self) -> None:
        self.run(self.queue.no_more_waiting())

    @rule(lease=leases, index=st.integers(0, 2))
    def put_result(self, lease: Lease, index: int) -> None:
        model = self.models[lease.job]
        verdict = self.run(lease.worker.put(lease.fields, index % model.total))
        assert verdict == self.verdict(lease)
        if verdict == "ok":
            model.results.setdefault(index % model.total, lease.attempt)

    @rule(lease=leases)
    def set_stage(self, lease: Lease) -> None:
        assert self.run(lease.worker.stage(lease.fields)) == self.verdict(lease)

    @rule(lease=leases, end=st.sampled_from(["finish", "fail", "retry", "release"]))
    def end(self, lease: Lease, end: str) -> None:
        held, model = self.verdict(lease) != "lost", self.models[lease.job]
        if end == "finish":
            verdict = self.run(lease.worker.finish(lease.fields))
        elif end == "release":
            verdict = self.run(lease.worker.release(lease.fields))
        else:
            verdict = self.run(lease.worker.fail(lease.fields, again=end == "retry"))
        assert verdict == ("ok" if held else "lost")
        if held:
            model.max_attempts += end == "release"
            model.end_attempt(again=end == "release" or (end == "retry" and model.attempt < model.max_attempts))

    @rule(job=jobs)
    def cancel(self, job: UUID) -> None:
        self.run(self.queue.db.execute("select queue.cancel($1)", job))
        model = self.models[job]
        if model.status not in ENDED:
            model.cancelling = True
        if model.status == "pending":
            model.status = "cancelled"

    @rule(worker=consumes(workers))
    def leave(self, worker: Worker) -> None:
        self.run(self.queue.db.execute("select queue.leave($1)", worker.id))
        self.left.add(worker.id)
        for model in self.models.values():
            if model.holder == worker.id:
                model.max_attempts += 1
                model.end_attempt(again=True)

    @invariant()
    def the_rows_are_what_the_model_says(self) -> None:
        """No job is lost, no result is doubled, and nobody but the holder wrote."""
        rows = self.run(
            self.queue.db.fetch(
                """
                select j.*, exists (select from public.deliveries d where d.job_id = j.id) as hooked,
                       (select coalesce(jsonb_object_agg(r.index, r.attempt), '{}') from public.results r where r.job_id = j.id) as made
                  from public.jobs j
                """
            )
        )
        seen = {
            r["id"]: (r["status"], r["attempt"], r["max_attempts"], r["crashes"], r["worker_id"], r["cancel_requested"],
                      {int(index): attempt for index, attempt in r["made"].items()}, r["hooked"])
            for r in rows
        }  # fmt: skip
        assert seen == {job: model.row() for job, model in self.models.items()}
        for row in rows:
            self.only_forward(row)

    def only_forward(self, row: Any) -> None:
        """Attempts only grow, and what has ended stays as it is, to the last column."""
        before = self.before.get(row["id"])
        if before is not None:
            assert row["attempt"] >= before["attempt"]
            assert before["made"].items() <= row["made"].items()
            if before["status"] in ENDED:
                assert dict(row) == dict(before)
        self.before[row["id"]] = row


def test_no_interleaving_breaks_the_queue(database_url):
    """Claims of workers with different engines, beats, crashes, deadlines, writes of holders and zombies, cancels and releases, in any
    order: the model holds, and so do fairness and priorities among the jobs that a worker may take."""
    with asyncio.Runner() as runner:
        queue = Queue(runner.run(connect(database_url)))
        try:
            run_state_machine_as_test(
                lambda: Life(runner, queue),
                settings=settings(
                    max_examples=20 if FUZZ == 1 else 40 * FUZZ,
                    stateful_step_count=40,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(queue.db.close())
