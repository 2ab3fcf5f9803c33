"""What the doors call: submit, view, cancel. The API has tests of its own; these hold for every door."""

from uuid import UUID, uuid4

import asyncpg
import pytest

from rhythmai.project.trace import SHAPE

NEWEST_ONLY = True
OWNER, OTHER = uuid4(), uuid4()
KEY = "a-key-of-sixteen-characters"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_every_job_belongs_to_a_trace(queue, db):
    """Whoever names no trace begins one, by SQL too, each job its own; the webhook's claim tells the job's."""
    await db.execute("insert into public.jobs (video_url) select 'https://v' from generate_series(1, 20)")
    await queue.submit()
    traces = [row["traceparent"] for row in await db.fetch("select traceparent from public.jobs")]
    assert len({trace.split("-")[1] for trace in traces}) == 21
    assert all(SHAPE.fullmatch(trace) for trace in traces)
    job = await queue.insert(traceparent=TRACE, options={"callback_url": "https://example.com/hook"})
    await db.execute("select queue.cancel($1)", job)
    worker = await queue.worker()
    assert (await db.fetchval("select queue.claim_delivery($1)", worker.id))["traceparent"] == TRACE


@pytest.mark.parametrize("place", ["4bf92f3577b34da6", "00f067aa0ba902b7", "00-", "-01"])
async def test_what_is_no_trace_is_refused(queue, place):
    """jobs.traceparent has the shape that doors check, and no other: longer, other letters, zeros alone."""
    for wrong in (TRACE.replace(place, place + "0"), TRACE.replace(place, place.upper() + "Z"), "0" * 55):
        with pytest.raises(asyncpg.CheckViolationError, match="jobs_traceparent"):
            await queue.submit(p_traceparent=wrong)
        assert not SHAPE.fullmatch(wrong)
    zeros = [f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{'a' * 32}-{'0' * 16}-01"]
    for wrong in zeros:
        with pytest.raises(asyncpg.CheckViolationError):
            await queue.submit(p_traceparent=wrong)
        assert not SHAPE.fullmatch(wrong)


async def test_submitting_makes_an_interactive_job(queue):
    """Somebody waits for a submitted job: it lands in the interactive lane, with what was asked."""
    row = await queue.job(
        await queue.submit(p_user_request="calm", p_options={"seed": 1, "format": None}, p_traceparent=TRACE)
    )
    assert (row["lane"], row["user_request"], row["options"], row["traceparent"]) == (
        "interactive",
        "calm",
        {"seed": 1},
        TRACE,
    )


async def test_null_counts_as_nothing(queue):
    """A null wish is an empty one, null options are none, and for an Idempotency-Key they are the same request."""
    first = await queue.submit(p_user_request=None, p_options=None, p_idempotency_key=KEY)
    assert (await queue.job(first))["user_request"] == ""
    assert await queue.submit(p_user_request="", p_options={}, p_idempotency_key=KEY) == first


async def test_visitors_are_told_apart_by_a_salted_hash(db, queue):
    """The tenant of a visitor is a hash of the address; the address itself is nowhere, and another salt gives another hash."""
    one = await queue.job(await queue.submit(p_client="203.0.113.7"))
    same = await queue.job(await queue.submit(p_client="203.0.113.7"))
    other = await queue.job(await queue.submit(p_client="203.0.113.8"))
    assert one["tenant"] == same["tenant"] != other["tenant"]
    assert "203.0.113" not in one["tenant"]
    await db.execute("update private.settings set client_salt = gen_random_uuid()")
    assert (await queue.job(await queue.submit(p_client="203.0.113.7")))["tenant"] != one["tenant"]


async def test_the_same_key_and_request_are_the_same_job(queue, db):
    """A repeated submit answers with the first job, also when that has ended."""
    first = await queue.submit(p_client="c", p_idempotency_key=KEY)
    await db.execute("select queue.cancel($1)", first)
    assert await queue.submit(p_client="c", p_idempotency_key=KEY) == first
    assert await queue.submit(p_client="d", p_idempotency_key=KEY) != first


async def test_the_same_key_with_another_body_is_refused(queue):
    """RY422: a key stands for one request."""
    await queue.submit(p_idempotency_key=KEY, p_user_request="calm")
    with pytest.raises(asyncpg.PostgresError) as refusal:
        await queue.submit(p_idempotency_key=KEY, p_user_request="loud")
    assert refusal.value.sqlstate == "RY422"


async def test_a_short_key_is_for_signed_in_users_only(queue):
    """Ids are capabilities: an ownerless key that could be guessed would give one away."""
    with pytest.raises(asyncpg.InvalidParameterValueError, match="at least 16 characters"):
        await queue.submit(p_idempotency_key="short")
    assert await queue.submit(p_idempotency_key="short", p_owner=OWNER)


@pytest.mark.parametrize(
    ("who", "limit"), [({"p_owner": OWNER}, "pending_per_owner"), ({"p_client": "203.0.113.7"}, "pending_per_client")]
)
async def test_the_flood_guard_counts_what_is_pending(db, queue, who, limit):
    """At the limit a submit is RY429; a job that runs or has ended makes room; others are not touched; a repeat is no flood."""
    await db.execute(f"update private.settings set {limit} = 2")
    first = await queue.submit(**who, p_idempotency_key=KEY)
    await queue.submit(**who)
    with pytest.raises(asyncpg.PostgresError, match="2 jobs of yours wait already") as refusal:
        await queue.submit(**who)
    assert refusal.value.sqlstate == "RY429"
    assert await queue.submit(**who, p_idempotency_key=KEY) == first
    await queue.submit(p_client="somebody else")
    await queue.insert(owner=who.get("p_owner"))
    await db.execute("delete from public.jobs where lane = 'batch'")
    await (await queue.worker()).claim()
    assert await queue.submit(**who)


async def test_the_defaults_are_fifty_and_ten(db):
    """The limits of the design: 50 pending jobs per owner, 10 per client address."""
    assert tuple(await db.fetchrow("select pending_per_owner, pending_per_client from private.settings")) == (50, 10)


async def test_backfills_are_not_limited(db, queue):
    """Plain SQL by an operator passes the guard, also for an owner who is at the limit."""
    await db.execute("update private.settings set pending_per_owner = 1")
    await queue.submit(p_owner=OWNER)
    await db.execute(
        "insert into public.jobs (video_url, owner) select 'https://v', $1 from generate_series(1, 100)", OWNER
    )


async def test_a_job_is_shown_to_whom_it_concerns(db, queue):
    """An ownerless job needs only its id; an owned one its owner; anything else is null, which is 404."""
    view = "select queue.view($1, $2) ->> 'job_id'"
    free, owned = await queue.submit(), await queue.submit(p_owner=OWNER)
    assert await db.fetchval(view, free, None) == await db.fetchval(view, free, OTHER) == str(free)
    assert await db.fetchval(view, owned, OWNER) == str(owned)
    assert await db.fetchval(view, owned, OTHER) is None
    assert await db.fetchval(view, owned, None) is None
    assert await db.fetchval(view, uuid4(), OWNER) is None


async def test_the_answer_has_the_contract_s_names(db, queue):
    """Field by field what the frontend speaks, with results one by one while the job runs."""
    job_id = await queue.submit(p_user_request="calm")
    worker = await queue.worker()
    job = await worker.claim()
    await worker.stage(job)
    await worker.put(job, 1, title="Dawn", peaks="gA==")
    answer = await db.fetchval("select queue.answer($1)", job_id)
    (result,) = answer.pop("results")
    assert (0 < answer.pop("progress") < 100, answer.pop("eta_s") > 0) == (True, True)
    created, started = answer.pop("created_at"), answer.pop("started_at")
    assert created
    assert started
    assert answer == {
        "job_id": str(job_id), "status": "processing", "completed_count": 1, "total_count": 3, "error": None, "error_code": None,
        "notes": [], "speech": None, "best": None, "kind": "generate", "engine": "auto", "waiting_for": None, "stage": "composing", "video_url": "https://example.com/a.mp4", "preview_url": None,
        "user_request": "calm",
        "metadata": {}, "directions": [], "hits": [], "segments": [], "brief": None, "expires_at": None,
        "finished_at": None, "queue_position": None,
    }  # fmt: skip
    assert set(result) == {
        "prompt", "audio_url", "audio_preview_url", "index", "title", "description", "seed", "duration", "bpm", "key", "engine", "model",
        "licence", "describer", "peaks", "loudness_lufs", "true_peak_db", "ignored", "fit", "gain_db", "mended", "created_at",
    }  # fmt: skip
    assert (result["index"], result["title"], result["peaks"]) == (1, "Dawn", "gA==")


async def test_music_that_may_not_be_used_commercially_is_refused(queue):
    """With p_commercial_only, which an API asks with, an engine of such music is; without an engine, or a merge, a job is none of that."""
    only = {"p_commercial_only": True}
    with pytest.raises(
        asyncpg.InvalidParameterValueError, match=r"mmaudio may not be used commercially .*acestep or sketch"
    ):
        await queue.submit(p_options={"engine": "mmaudio"}, **only)
    assert await queue.submit(**only)
    assert await queue.submit("merge", p_options={"audio_url": "https://a"}, **only)


async def test_a_merge_answers_with_its_video(db, queue):
    """The one result of a merge is {"index": 0, "video_url": ..., "licence": ...}."""
    job_id = await queue.submit("merge", p_options={"audio_url": "https://a"})
    worker = await queue.worker()
    await worker.put(await worker.claim(), 0, audio_url=None, video_url="https://s/m.mp4")
    assert await db.fetchval("select queue.answer($1) -> 'results'", job_id) == [
        {"index": 0, "video_url": "https://s/m.mp4", "licence": None}
    ]


async def test_an_error_is_shown_when_it_is_final(db, queue):
    """While a job is retried its last error is in the row, not in the answer."""
    job_id = await queue.submit()
    worker = await queue.worker()
    await worker.fail(await worker.claim(), again=True, error="away")
    assert (await queue.job(job_id))["error"] == "away"
    assert await db.fetchval("select queue.answer($1) ->> 'error'", job_id) is None
    await queue.no_more_waiting()
    await worker.fail(await worker.claim(), again=False, error="gone", code="rejected")
    answer = await db.fetchval("select queue.answer($1)", job_id)
    assert (answer["error"], answer["error_code"]) == ("gone", "rejected")


async def test_a_pending_job_is_cancelled_at_once(db, queue):
    """Cancelled before any worker saw it, also out of a backoff, and never claimed again."""
    job_id = await queue.submit()
    worker = await queue.worker()
    await worker.fail(await worker.claim(), again=True)
    assert (await db.fetchval("select queue.cancel($1)", job_id))["status"] == "cancelled"
    assert (await queue.job(job_id))["run_at"] is None
    assert await worker.claim() is None


async def test_a_running_job_is_asked_to_stop(db, queue):
    """Cancelling a running job leaves it to its worker, which hears of it with every write and beat."""
    job_id = await queue.submit()
    worker = await queue.worker()
    job = await worker.claim()
    assert (await db.fetchval("select queue.cancel($1)", job_id))["status"] == "processing"
    assert await worker.beat(job) == {UUID(job["id"]): "cancelled"}


async def test_a_job_that_has_ended_cannot_be_cancelled(db, queue):
    """Terminal is terminal: the answer shows the end as it was."""
    job_id = await queue.submit()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.put(job)
    await worker.finish(job)
    assert (await db.fetchval("select queue.cancel($1)", job_id))["status"] == "completed"


async def test_only_the_owner_cancels(db, queue):
    """For anybody else an owned job does not exist, and it goes on."""
    job_id = await queue.submit(p_owner=OWNER)
    for user in (OTHER, None):
        assert await db.fetchval("select queue.cancel($1, $2)", job_id, user) is None
    assert (await queue.job(job_id))["status"] == "pending"
    assert (await db.fetchval("select queue.cancel($1, $2)", job_id, OWNER))["status"] == "cancelled"


async def test_many_views_are_answered_in_the_order_asked(db, queue):
    """Each for its own caller: a stranger's question is answered with null, and one job may be asked for twice."""
    job, other = await queue.insert(owner=OWNER), await queue.insert()
    told = await db.fetch(
        "select version, answer -> 'job_id' from queue.views($1, $2, $3)",
        [job, other, job],
        [OTHER, None, OWNER],
        ["", "", ""],
    )
    assert [tuple(row) for row in told] == [(None, None), ("", str(other)), ("", str(job))]


async def test_a_version_of_an_ended_job_is_told_once(db, queue):
    """Only to whoever may see the job; the version moves with its row and with how long jobs are kept."""
    worker = await queue.worker()
    job_id = await queue.insert(owner=OWNER)
    await worker.finish(await worker.claim())

    async def look(user, seen):
        return await db.fetchrow("select * from queue.views($1, $2, $3)", [job_id], [user], [seen])

    version, answer = await look(OWNER, "")
    assert (answer["status"], version) == ("failed", version or None)
    assert await look(OWNER, version) == (version, None)
    assert await look(OTHER, version) == (None, None)
    await db.execute("update private.settings set keep_for = '8 days'")
    later, answer = await look(OWNER, version)
    assert (later != version, answer["expires_at"] is not None) == (True, True)
    await db.execute("update public.jobs set user_request = 'other' where id = $1", job_id)
    moved, answer = await look(OWNER, later)
    assert (moved != later, answer["user_request"]) == (True, "other")
