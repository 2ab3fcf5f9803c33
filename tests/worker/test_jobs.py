"""PostgresQueue: the SQL functions as the worker meets them."""

import asyncio
import json
from dataclasses import asdict, replace
from datetime import timedelta

import asyncpg
import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from worker.domain import Direction, Kind, Plan, Result, Span, Stage, Variant
from worker.errors import Cancelled, LeaseLost
from worker.jobs import PostgresQueue
from worker.rows import JobRow

DIRECTION = Direction(
    title="Dawn", prompt="soft piano", description="", genre="ambient", instruments=("piano",), tempo_bpm=70, key="D minor", mood="calm"
)  # fmt: skip
PLAN = Plan(variants=(Variant(index=0, seed=7, direction=DIRECTION),), describer="local")

JUNK = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(0, 400)
    | st.text("ab ", max_size=3)
    | st.just([])
    | st.just({})
)
WORDS = st.text("ab c", max_size=4) | JUNK
DIRECTIONS = st.fixed_dictionaries(
    {"prompt": st.just("harp") | WORDS},
    optional={
        **dict.fromkeys(("title", "description", "genre", "key", "mood"), WORDS),
        "tempo_bpm": st.integers(20, 300) | JUNK,
        "instruments": st.lists(WORDS, max_size=2) | JUNK,
    },
)
HITS = st.fixed_dictionaries(
    {"at": st.floats(0, 90) | JUNK}, optional={"kind": st.sampled_from(["drop", "stop"]) | JUNK}
)
SEGMENTS = st.fixed_dictionaries(
    {"start": st.floats(0, 90) | JUNK}, optional={"prompt": WORDS, "energy": st.floats(0, 1) | JUNK}
)
MEND = {"start": 1, "end": 2.5, "seed": 3, "gain_db": -1, "master_url": "https://a"}
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "variants": st.integers(1, 8) | JUNK,
        "seed": st.integers(0, 2**32 - 1) | JUNK,
        "duration": st.floats(1, 100) | JUNK,
        "steps": st.sampled_from([25, 25.0]) | JUNK,
        "guidance": JUNK,
        "negative_prompt": WORDS,
        "conditioning": st.just("text") | JUNK,
        "format": st.just("mp3") | JUNK,
        "loudness_lufs": st.floats(-30, -9) | JUNK,
        "plan": st.lists(DIRECTIONS | JUNK, max_size=2) | JUNK,
        "hits": st.lists(HITS | JUNK, max_size=2) | JUNK,
        "segments": st.lists(SEGMENTS | JUNK, max_size=2) | JUNK,
        "loop": JUNK,
        "mend": st.just(MEND) | JUNK,
    },
)
ROW = {
    "id": "8f3a0f5e-0000-4000-8000-000000000000", "attempt": 1, "worker_id": 1, "kind": "generate", "lane": "batch",
    "video_url": "https://example.com/a.mp4", "user_request": "", "plan": None, "total_count": 3, "created_at": "2026-11-26T12:00:00+00:00", "claimed_at": "2026-11-26T12:00:01.5+00:00", "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "done": [],
}  # fmt: skip

WRITES = {
    "set_stage": lambda queue, lease: queue.set_stage(lease, Stage.FETCHING),
    "set_preview": lambda queue, lease: queue.set_preview(lease, "https://s/p.mp4"),
    "put_brief": lambda queue, lease: queue.put_brief(lease, {}),
    "note": lambda queue, lease: queue.note(lease, "One sound was left out."),
    "save_plan": lambda queue, lease: queue.save_plan(lease, PLAN),
    "put_result": lambda queue, lease: queue.put_result(lease, Result(index=0, audio_url="https://example.com/a.flac")),
    "finish": lambda queue, lease: queue.finish(lease),
    "fail": lambda queue, lease: queue.fail(lease, code="x", message="x", again=True),
    "release": lambda queue, lease: queue.release(lease),
}


async def test_a_claimed_job_carries_what_was_asked(queue, insert):
    """Options, plan, lane and what is done already arrive as domain values."""
    options = {
        "variants": 2,
        "seed": 5,
        "duration": 3.5,
        "conditioning": "text",
        "plan": [{"prompt": "harp"}, {"prompt": "tuba"}],
    }
    job_id = await insert(user_request="calm", options=json.dumps(options))
    job = await queue.claim()
    assert (job.lease.job_id, job.kind, job.lane, job.total_count) == (job_id, Kind.GENERATE, "batch", 2)
    assert (job.options.seed, job.options.duration_s, job.options.conditioning) == (5, 3.5, "text")
    assert [d.prompt for d in job.asked_plan] == ["harp", "tuba"]
    assert job.done == frozenset()
    assert await queue.claim() is None


async def test_a_row_that_cannot_be_read_fails_alone(queue, insert, db):
    """A job whose options mean nothing to this worker ends as failed, and the claim goes on to the next one: it must not end worker after worker."""
    strange = await insert()
    await db.execute("alter table public.jobs disable trigger user")
    try:
        await db.execute("""update public.jobs set options = '{"plan": [{"title": "x"}]}' where id = $1""", strange)
    finally:
        await db.execute("alter table public.jobs enable trigger user")
    plain = await insert()
    assert (await queue.claim()).lease.job_id == plain
    row = await db.fetchrow("select status, attempt, error_code from public.jobs where id = $1", strange)
    assert tuple(row) == ("failed", 1, "bad_options")


@settings(max_examples=20, deadline=None)
@given(asked=st.lists(OPTIONS, min_size=30, max_size=30))
def test_what_the_database_takes_the_worker_reads(asked, database_url):
    """Options that the insert takes are read by `JobRow`, whatever they are: both sides agree on types."""

    async def taken():
        db = await asyncpg.connect(database_url)
        try:
            return await db.fetch(
                "select jsonb_strip_nulls(o) as options from unnest($1::jsonb[]) o where private.options_error('generate', o) is null",
                [json.dumps(options) for options in asked],
            )
        finally:
            await db.close()

    for row in asyncio.run(taken()):
        JobRow.model_validate(ROW | {"options": json.loads(row["options"])}).job()


async def test_the_first_plan_holds(queue, insert):
    """A second plan for the same job is answered with the first."""
    await insert()
    job = await queue.claim()
    assert await queue.save_plan(job.lease, PLAN) == PLAN
    assert await queue.save_plan(job.lease, replace(PLAN, describer="other")) == PLAN


async def test_a_brief_is_put_once(queue, insert, db):
    """The first one holds, and its job is completed with it."""
    job_id = await insert(kind="brief")
    job = await queue.claim()
    assert (job.kind, job.total_count) == (Kind.BRIEF, 0)
    await queue.put_brief(job.lease, {"cuts": [7.3]})
    await queue.put_brief(job.lease, {"cuts": []})
    await queue.finish(job.lease)
    row = await db.fetchrow("select status, brief from public.jobs where id = $1", job_id)
    assert (row["status"], json.loads(row["brief"])) == ("completed", {"cuts": [7.3]})


async def test_a_result_keeps_what_a_part_is_mended_by(queue, insert, db):
    """Gain, stretch and the addresses of what was kept stand in its row."""
    await insert()
    job = await queue.claim()
    kept = {"gain_db": -3.25, "master_url": "https://s/m.flac", "latents_url": "https://s/l.safetensors"}
    await queue.put_result(
        job.lease, Result(index=0, audio_url="https://s/a.mp3", mended=Span(start_s=1, end_s=2.5), **kept)
    )
    row = await db.fetchrow("select * from public.results where job_id = $1", job.lease.job_id)
    assert {name: row[name] for name in kept} == kept
    assert json.loads(row["mended"]) == {"start_s": 1, "end_s": 2.5}


async def test_a_retry_sees_plan_and_results_of_the_first_attempt(queue, insert, db):
    """After a failure that may pass, the next attempt gets the plan and the indices that are done."""
    job_id = await insert()
    job = await queue.claim()
    await queue.save_plan(job.lease, PLAN)
    await queue.put_result(job.lease, Result(index=0, audio_url="https://example.com/a.flac", peaks="gA=="))
    await queue.fail(job.lease, code="unavailable", message="later", again=True)
    assert await queue.claim() is None
    assert await queue.next_due() < timedelta(minutes=5)
    assert queue.fleet == 1
    await db.execute("select setval('private.hearing', 700)")
    assert await queue.next_due() < timedelta(minutes=5)
    assert queue.fleet == 700
    await db.execute("update public.jobs set run_at = now() where id = $1", job_id)
    again = await queue.claim()
    assert (again.lease.attempt, again.plan, again.done) == (2, PLAN, frozenset({0}))


async def test_two_versions_of_the_worker_share_a_queue(queue, insert, db, database_url):
    """During an upgrade an older worker takes up what a newer one has begun: names it does not know are left aside."""
    await insert()
    job = await queue.claim()
    newer = json.loads(json.dumps(asdict(PLAN))) | {"palette": "wide"}
    newer["variants"][0] |= {"swing": 0.1}
    newer["variants"][0]["direction"] |= {"mode": "dorian"}
    lease = job.lease
    await db.execute(
        "select queue.save_plan($1, $2, $3, $4)", lease.job_id, lease.attempt, lease.worker_id, json.dumps(newer)
    )
    await queue.release(lease)
    older = await PostgresQueue.connect(
        database_url, name="older", kinds=("generate", "merge"), engines=("sketch",), version="-1",
        lease=timedelta(seconds=30), job_timeout=timedelta(minutes=30),
    )  # fmt: skip
    await older.ready("sketch")
    again = await older.claim()
    assert (again.lease.attempt, again.plan) == (2, PLAN)
    await older.finish(again.lease)
    await older.close()


async def test_every_write_of_a_lost_lease_is_refused(queue, insert):
    """Stage, plan, result, finish, fail and release raise LeaseLost once the lease is gone."""
    await insert()
    job = await queue.claim()
    await queue.release(job.lease)
    for write in WRITES.values():
        with pytest.raises(LeaseLost):
            await write(queue, job.lease)


async def test_a_cancelled_job_takes_no_more_results(queue, insert, db):
    """Once the user cancelled, writes raise Cancelled and finishing ends the job as cancelled."""
    job_id = await insert()
    job = await queue.claim()
    await db.fetchval("select queue.cancel($1)", job_id)
    with pytest.raises(Cancelled):
        await queue.put_result(job.lease, Result(index=0, audio_url="https://example.com/a.flac"))
    await queue.finish(job.lease)
    answer = json.loads(await db.fetchval("select queue.answer($1)", job_id))
    assert (answer["status"], answer["results"]) == ("cancelled", [])


async def test_closing_hands_back_what_is_held(queue, insert, db):
    """A worker that signs off leaves its jobs pending, without burning an attempt."""
    job_id = await insert()
    await queue.claim()
    await queue.close()
    row = await db.fetchrow("select status, attempt, max_attempts from public.jobs where id = $1", job_id)
    assert tuple(row) == ("pending", 1, 4)
