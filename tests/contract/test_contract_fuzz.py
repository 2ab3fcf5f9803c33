"""A stateful fuzz of the whole API: two users, a visitor and a worker do what they like, and every answer is the expected one.

CONTRACT_STEPS=10000 python -m pytest tests/contract/test_contract_fuzz.py     the long run
"""

from __future__ import annotations

import asyncio
import json
import os
from uuid import uuid4

import asyncpg
import httpx
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.contract.conftest import VIDEO
from tests.contract.expected import ENDED, Expected
from tests.contract.hand import Hand
from tests.contract.keys import bearer, make_token

STEPS = int(os.environ.get("CONTRACT_STEPS", "400"))
STEPS_A_RUN = 50
LIMIT = 12
"""So few pending jobs a client that the flood guard is met often."""
AFRESH = """
    truncate public.jobs restart identity cascade;
    select setval('private.served_generate_interactive', 0, false), setval('private.served_merge_interactive', 0, false);
"""
"""Every run begins alike, so that one that failed can be played again."""
MERGE = {"video_url": VIDEO, "audio_url": VIDEO}
ANN, BEN = str(uuid4()), str(uuid4())
CALLERS = {"ann": (ANN, bearer(ANN)), "ben": (BEN, bearer(BEN)), "visitor": (None, {})}
WRONG = [
    ("/api/v1/gen", {"video_url": "ftp://example.com/a"}, "invalid_request"),
    ("/api/v1/gen", {"video_url": VIDEO, "variants": 9}, "invalid_request"),
    ("/api/v1/gen", {"video_url": VIDEO, "colour": 1}, "unknown_field"),
    ("/api/v1/merge", {"video_url": VIDEO}, "invalid_request"),
    ("/api/v1/upload", {"filename": "a", "content_type": "text/html", "size": 1}, "invalid_request"),
    ("/api/v1/gen", [], "invalid_request"),
]

callers = st.sampled_from(sorted(CALLERS))
keys = st.none() | st.sampled_from([f"idempotency-key-{number}" for number in range(4)])


class World(RuleBasedStateMachine):
    """One run on one host; `host`, `hands`, `db`, `runner` and `steps` are set by the test."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.http = httpx.Client(base_url=self.host.url, timeout=60)
        self.expected: dict[str, Expected] = {}
        self.keyed: dict[tuple[str, str], tuple[str, str]] = {}
        self.held: Expected | None = None
        self.runner.run(self.db.execute(AFRESH))

    def teardown(self) -> None:
        if self.held:
            self.by_hand("finish")
        self.http.close()

    def by_hand(self, step: str, *arguments, **named):
        """A step of the worker that holds the job."""
        return self.runner.run(getattr(self.hands[self.held.kind], step)(*arguments, **named))

    def ask(
        self, method: str, path: str, who: str, body=None, key: str | None = None, **headers: str
    ) -> httpx.Response:
        headers |= CALLERS[who][1] | ({"Idempotency-Key": key} if key else {})
        return self.http.request(method, path, headers=headers, json=body)

    def made(self, answer: httpx.Response, who: str, key: str | None, request: list, **job):
        """The expected new job; the first one again for a used key; no job and the expected refusal."""
        tenant = CALLERS[who][0] or "visitor"
        asked = json.dumps(request, sort_keys=True)
        if key and (tenant, key) in self.keyed:
            first, text = self.keyed[tenant, key]
            if text == asked:
                assert answer.json()["job_id"] == first
                return multiple()
            return self.refused(answer, 422, "idempotency_mismatch")
        if sum(old.tenant == tenant and old.status == "pending" for old in self.expected.values()) >= LIMIT:
            assert int(answer.headers["Retry-After"]) > 0
            return self.refused(answer, 429, "too_many_jobs")
        assert answer.status_code in {200, 202}, answer.text
        job = Expected(id=answer.json()["job_id"], owner=CALLERS[who][0], tenant=tenant, **job)
        assert job.id not in self.expected
        self.expected[job.id] = job
        if key:
            self.keyed[tenant, key] = (job.id, asked)
        return job

    @staticmethod
    def refused(answer: httpx.Response, status: int, code: str):
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        return multiple()

    @rule(target=jobs, who=callers, variants=st.integers(1, 8), wish=st.sampled_from(["", "calm", "☀ loud"]), key=keys)
    def gen(self, who, variants, wish, key):
        body = {"video_url": VIDEO, "user_request": wish, "variants": variants}
        answer = self.ask("POST", "/api/v1/gen", who, body, key)
        return self.made(answer, who, key, ["generate", body], kind="generate", total=variants)

    @rule(target=jobs, who=callers, duck=st.booleans(), key=keys)
    def merge(self, who, duck, key):
        body = {**MERGE, "mode": "mix", "duck": duck}
        answer = self.ask("POST", "/api/v1/merge", who, body, key, Prefer="respond-async")
        if answer.status_code == 202:
            assert answer.headers["Location"] == f"/api/v1/job/{answer.json()['job_id']}"
        return self.made(answer, who, key, ["merge", body], kind="merge", total=1)

    @rule(
        target=jobs, job=jobs, who=callers, variant=st.none() | st.integers(0, 7), seed=st.none() | st.just(7), key=keys
    )
    def again(self, job, who, variant, seed, key):
        body = {"variant": variant, "seed": seed}
        answer = self.ask("POST", f"/api/v1/job/{job.id}/again", who, body, key)
        if not job.may_be_seen_by(CALLERS[who][0]):
            return self.refused(answer, 404, "not_found")
        odd = variant is not None and variant >= job.total
        if odd or (job.kind == "merge" and (variant is not None or seed is not None)):
            return self.refused(answer, 422, "invalid_request")
        total = job.total if variant is None else 1
        return self.made(answer, who, key, ["again", job.id, variant, seed], kind=job.kind, total=total)

    @rule(job=jobs, who=callers)
    def cancel(self, job, who):
        answer = self.ask("DELETE", f"/api/v1/job/{job.id}", who)
        if not job.may_be_seen_by(CALLERS[who][0]):
            self.refused(answer, 404, "not_found")
        else:
            job.cancel()
            job.compare(answer.json())

    @rule(job=jobs, who=callers)
    def view(self, job, who):
        answer = self.ask("GET", f"/api/v1/job/{job.id}", who)
        if not job.may_be_seen_by(CALLERS[who][0]):
            self.refused(answer, 404, "not_found")
        else:
            assert answer.status_code == 200
            job.compare(answer.json())

    @rule(job=jobs, who=callers)
    def follow(self, job, who):
        """A stream of an ended job tells all of it and ends."""
        path = f"/api/v1/job/{job.id}/events"
        if not job.may_be_seen_by(CALLERS[who][0]):
            self.refused(self.ask("GET", path, who), 404, "not_found")
        elif job.status in ENDED:
            text = self.ask("GET", path, who).text
            assert text.count("event: result\n") == len(job.results)
            assert text.count("event: job\n") == text.count("id: end\n") == 1

    @rule(who=callers)
    def upload(self, who):
        signed = self.ask(
            "POST", "/api/v1/upload", who, {"filename": "a", "content_type": "video/mp4", "size": 1}
        ).json()
        assert signed["video_url"].rpartition("/")[2] in signed["upload_url"]

    @rule(who=callers, wrong=st.sampled_from(WRONG))
    def wrong(self, who, wrong):
        path, body, code = wrong
        self.refused(self.ask("POST", path, who, body), 422, code)

    @rule(who=callers, call=st.sampled_from([("GET", ""), ("DELETE", ""), ("POST", "/again"), ("GET", "/events")]))
    def guess(self, who, call):
        """An id that nobody was given is no job."""
        self.refused(self.ask(call[0], f"/api/v1/job/{uuid4()}{call[1]}", who), 404, "not_found")

    @rule(job=jobs, tail=st.sampled_from(["", "/again", "/events"]))
    def forge(self, job, tail):
        """A token of another secret opens nothing, not even what a visitor may see."""
        token = make_token(ANN, secret="another-secret-of-at-least-32-characters")
        method = "POST" if tail == "/again" else "GET"
        path = f"/api/v1/job/{job.id}{tail}"
        answer = self.http.request(method, path, headers={"Authorization": f"Bearer {token}"})
        self.refused(answer, 401, "unauthorized")

    @precondition(lambda self: self.held is None)
    @rule(kind=st.sampled_from(["generate", "merge"]))
    def claim(self, kind):
        claimed = self.runner.run(self.hands[kind].claim())
        if claimed is None:
            assert all(job.status != "pending" for job in self.expected.values() if job.kind == kind)
        else:
            self.held = self.expected[claimed]
            self.held.claim()

    @precondition(lambda self: self.held is not None)
    @rule(index=st.integers(0, 7))
    def result(self, index):
        index %= self.held.total
        url = f"https://example.com/{uuid4()}"
        media = "video_url" if self.held.kind == "merge" else "audio_url"
        verdict = self.by_hand("result", index=index, **{media: url})
        assert verdict == ("cancelled" if self.held.cancelling else "ok")
        if not self.held.cancelling:
            self.held.results.setdefault(index, url)  # a result is never overwritten

    @precondition(lambda self: self.held is not None)
    @rule(stage=st.sampled_from(["fetching", "describing", "composing", "merging"]))
    def stage(self, stage):
        self.by_hand("stage", stage)
        self.held.stage = stage

    @precondition(lambda self: self.held is not None and self.held.kind == "generate")
    @rule()
    def plan(self):
        self.by_hand("plan", *(f"direction {index}" for index in range(self.held.total)))

    @precondition(lambda self: self.held is not None)
    @rule(fails=st.booleans())
    def end(self, fails):
        if fails:
            self.by_hand("fail", "not_video", "This is not a video")
        else:
            self.by_hand("finish")
        self.held.end("not_video" if fails else "no_result")
        self.held = None

    @rule(job=consumes(jobs))
    def forget(self, job):
        """So that new jobs are picked, too."""

    @invariant()
    def alive(self):
        """After every step."""
        type(self).steps += 1
        assert self.host.alive


def test_whatever_users_do_the_contract_holds(host, database_url, record_property):
    """No sequence of calls by two users, a visitor and a worker gives an unexpected answer."""
    with asyncio.Runner() as runner:
        db = runner.run(asyncpg.connect(database_url))
        runner.run(db.execute("update private.settings set pending_per_client = $1, pending_per_owner = $1", LIMIT))
        hands = {kind: Hand(db, kind) for kind in ("generate", "merge")}
        machine = type("World", (World,), {"host": host, "db": db, "runner": runner, "hands": hands, "steps": 0})
        budget = settings(
            max_examples=max(1, STEPS // STEPS_A_RUN),
            stateful_step_count=STEPS_A_RUN,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        try:
            while machine.steps < STEPS:
                run_state_machine_as_test(machine, settings=budget)
        finally:
            runner.run(db.close())
    record_property("cases", machine.steps)
    print(f"{host.name}: {machine.steps} steps")
