"""What two users, a visitor and a worker may do, one step at a time, and what every answer must be then."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule

from tests.contract.cast import AFRESH, ANN, CALLERS, LIMIT, MERGE, WAITING_MERGE, WRONG, callers, keys
from tests.contract.conftest import VIDEO
from tests.contract.expected import MEDIA, Expected, events
from tests.contract.keys import make_token


class World(RuleBasedStateMachine):
    """One run on one host; `host`, `hands`, `db`, `runner` and `steps` are set by the test."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.http = httpx.Client(base_url=self.host.url, timeout=120)
        self.expected: dict[str, Expected] = {}
        self.keyed: dict[tuple[str, str], tuple[str, str]] = {}
        self.uploads: Counter[str] = Counter()
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

    def waiting(self, kind: str | None = None, tenant: str | None = None) -> int:
        """How many jobs of this kind or of this tenant are pending."""
        return sum(
            job.status == "pending" and kind in {None, job.kind} and tenant in {None, job.tenant}
            for job in self.expected.values()
        )

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
        if self.waiting(tenant=tenant) >= LIMIT:
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
            assert answer.headers["Location"] == f"{self.host.url}/api/v1/job/{answer.json()['job_id']}"
        return self.made(answer, who, key, ["merge", body], kind="merge", total=1)

    @rule(target=jobs, who=callers, variants=st.integers(1, 8), key=keys)
    def brief(self, who, variants, key):
        body = {"video_url": VIDEO, "variants": variants}
        answer = self.ask("POST", "/api/v1/brief", who, body, key)
        return self.made(answer, who, key, ["brief", body], kind="brief", total=0)

    @rule(target=jobs, job=jobs, who=callers, variant=st.none() | st.integers(0, 7), key=keys)
    def pack(self, job, who, variant, key):
        answer = self.ask("POST", f"/api/v1/job/{job.id}/pack", who, {"variant": variant}, key)
        if not job.may_be_seen_by(CALLERS[who][0]):
            return self.refused(answer, 404, "not_found")
        if job.kind != "generate" or (variant is not None and variant >= job.total):
            return self.refused(answer, 422, "invalid_request")
        if not job.results or variant not in {None, *job.results}:
            return self.refused(answer, 409, "not_ready")
        return self.made(answer, who, key, ["pack", job.id, variant], kind="pack", total=1)

    @rule(
        target=jobs, job=jobs, who=callers, variant=st.none() | st.integers(0, 7), seed=st.none() | st.just(7), key=keys
    )
    def again(self, job, who, variant, seed, key):
        body = {"variant": variant, "seed": seed}
        answer = self.ask("POST", f"/api/v1/job/{job.id}/again", who, body, key)
        if not job.may_be_seen_by(CALLERS[who][0]):
            return self.refused(answer, 404, "not_found")
        odd = job.kind == "pack" or (variant is not None and variant >= job.total)
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

    @precondition(lambda self: self.held is None)
    @rule(job=consumes(jobs), who=callers)
    def erase(self, job, who):
        """Where nobody has it, it is gone with the answer, and its key makes a new one."""
        answer = self.ask("DELETE", f"/api/v1/job/{job.id}?files=true", who)
        if not job.may_be_seen_by(CALLERS[who][0]):
            self.refused(answer, 404, "not_found")
            return
        assert answer.status_code == 202
        job.cancel()
        job.compare(answer.json())
        self.refused(self.ask("GET", f"/api/v1/job/{job.id}", who), 404, "not_found")
        del self.expected[job.id]
        self.keyed = {key: first for key, first in self.keyed.items() if first[0] != job.id}

    @rule(job=jobs, who=callers)
    def view(self, job, who):
        answer = self.ask("GET", f"/api/v1/job/{job.id}", who)
        if not job.may_be_seen_by(CALLERS[who][0]):
            self.refused(answer, 404, "not_found")
        else:
            assert answer.status_code == 200
            job.compare(answer.json())

    @precondition(lambda self: self.held is None and not self.waiting("merge"))
    @rule(target=jobs, who=callers, ends=st.sampled_from(["finish", "fail", "break", "cancel"]))
    def wait_for_a_merge(self, who, ends):
        """Whoever waits is told of the end that the merge has: its video, a cancellation, or whose fault it is."""
        tenant = CALLERS[who][0] or "visitor"
        if self.waiting(tenant=tenant) >= LIMIT:
            return multiple()
        with ThreadPoolExecutor(1) as waiter:
            asking = waiter.submit(self.ask, "POST", "/api/v1/merge", who, MERGE)
            while not (id_ := self.runner.run(self.db.fetchval(WAITING_MERGE))):
                assert not asking.done(), asking.result().text
            job = Expected(id=id_, owner=CALLERS[who][0], tenant=tenant, kind="merge", total=1)
            self.expected[id_] = job
            if ends == "cancel":
                job.cancel()
                job.compare(self.ask("DELETE", f"/api/v1/job/{id_}", who).json())
            else:
                self.claim("merge")
                if ends == "finish":
                    self.result(0)
                self.end({"finish": None, "fail": "not_video", "break": "upstream_error"}[ends])
            answer = asking.result()
        match ends:
            case "finish":
                assert (answer.status_code, answer.json()) == (200, {"video_url": job.results[0]})
            case "cancel":
                self.refused(answer, 409, "merge_cancelled")
            case "fail":
                self.refused(answer, 422, "merge_failed")
            case "break":
                self.refused(answer, 502, "merge_unavailable")
        return job

    @rule(job=jobs, who=callers)
    def follow(self, job, who):
        """A stream tells all that is there; that of an ended job ends, and no other does."""
        path = f"/api/v1/job/{job.id}/events"
        if not job.may_be_seen_by(CALLERS[who][0]):
            self.refused(self.ask("GET", path, who), 404, "not_found")
            return
        with self.http.stream("GET", path, headers=CALLERS[who][1]) as answer:
            told = list(events(answer))
        *results, (last, state) = told
        assert {event for event, _ in results} <= {"plan", "result"}
        assert last == "job"
        job.compare_results([data for event, data in results if event == "result"])
        job.compare_state(state)

    @rule(who=callers)
    def upload(self, who):
        answer = self.ask("POST", "/api/v1/upload", who, {"filename": "a", "content_type": "video/mp4", "size": 1})
        tenant = CALLERS[who][0] or "visitor"
        if self.uploads[tenant] >= 2 * LIMIT:
            self.refused(answer, 429, "too_many_uploads")
        else:
            self.uploads[tenant] += 1
            signed = answer.json()
            assert signed["video_url"].rpartition("/")[2] in signed["upload_url"]

    @rule(who=callers, wrong=st.sampled_from(WRONG))
    def wrong(self, who, wrong):
        path, body, code = wrong
        self.refused(self.ask("POST", path, who, body), 422, code)

    @rule(
        who=callers,
        call=st.sampled_from([("GET", ""), ("DELETE", ""), ("POST", "/again"), ("POST", "/pack"), ("GET", "/events")]),
    )
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
    @rule(kind=st.sampled_from(["generate", "merge", "brief", "pack"]))
    def claim(self, kind):
        claimed = self.runner.run(self.hands[kind].claim())
        if claimed is None:
            assert not self.waiting(kind)
        else:
            self.held = self.expected[claimed]
            self.held.claim()

    @precondition(lambda self: self.held is not None and self.held.total)
    @rule(index=st.integers(0, 7))
    def result(self, index):
        index %= self.held.total
        url = f"https://example.com/{uuid4()}"
        verdict = self.by_hand("result", index=index, **{MEDIA[self.held.kind]: url})
        assert verdict == ("cancelled" if self.held.cancelling else "ok")
        if not self.held.cancelling:
            self.held.results.setdefault(index, url)  # a result is never overwritten

    @precondition(lambda self: self.held is not None)
    @rule(stage=st.sampled_from(["fetching", "describing", "composing", "hearing", "merging", "packing"]))
    def stage(self, stage):
        self.by_hand("stage", stage)
        self.held.stage = stage

    @precondition(lambda self: self.held is not None and self.held.kind == "generate")
    @rule()
    def plan(self):
        self.by_hand("plan", *(f"direction {index}" for index in range(self.held.total)))

    @precondition(lambda self: self.held is not None and self.held.kind == "brief")
    @rule()
    def tell(self):
        self.by_hand("brief", {"cuts": []})
        self.held.told = True

    @precondition(lambda self: self.held is not None)
    @rule(code=st.sampled_from([None, "not_video", "upstream_error"]))
    def end(self, code):
        if code:
            self.by_hand("fail", code, "It did not work")
        else:
            self.by_hand("finish")
        self.held.end(code or "no_result")
        self.held = None

    @rule(job=consumes(jobs))
    def forget(self, job):
        """So that new jobs are picked, too."""

    @invariant()
    def alive(self):
        """After every step."""
        type(self).steps += 1
        assert self.host.alive
