"""The four calls that a frontend already speaks, and their additions."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

import pytest

VIDEO = "https://example.com/holiday.mp4"
AUDIO = "https://example.com/track.flac"


async def test_gen_makes_an_interactive_job_and_answers_only_its_id(api, db, ask):
    """`POST /api/v1/gen` with a video and a wish answers `{"job_id"}` and inserts the row."""
    status, answer = await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO, "user_request": "warm ☀"})
    assert status == 200
    assert list(answer) == ["job_id"]
    row = await db.fetchrow("select * from public.jobs where id = $1", UUID(answer["job_id"]))
    assert (row["video_url"], row["user_request"], row["lane"], row["status"]) == (
        VIDEO, "warm ☀", "interactive", "pending",
    )  # fmt: skip
    assert row["tenant"].startswith("client:")
    assert row["owner"] is None


async def test_user_request_may_be_null_or_missing(gen, db):
    """A null wish and no wish at all are both the empty wish."""
    for fields in ({"user_request": None}, {}):
        job = await gen(**fields)
        assert await db.fetchval("select user_request from public.jobs where id = $1", UUID(job)) == ""


async def test_the_fields_of_gen_become_options(gen, db):
    """Everything beyond video and wish goes into the options under its own name; null is left out."""
    asked = {
        "variants": 2, "seed": 2**32 - 1, "duration": 8.5, "negative_prompt": "vocals", "conditioning": "text",
        "format": "mp3", "callback_url": "https://example.com/hook",
    }  # fmt: skip
    job = await gen(**asked, plan=None)
    row = await db.fetchrow("select options, total_count from public.jobs where id = $1", UUID(job))
    assert json.loads(row["options"]) == asked
    assert row["total_count"] == 2


async def test_a_hand_written_plan_needs_only_prompts(gen, db):
    """A plan is kept as it was written, and its length is the number of tracks."""
    plan = [
        {"prompt": "slow piano"},
        {"prompt": "fast drums", "tempo_bpm": 140, "key": "F# minor", "instruments": ["drums"]},
    ]
    job = await gen(plan=plan)
    row = await db.fetchrow("select options, total_count from public.jobs where id = $1", UUID(job))
    assert json.loads(row["options"]) == {"plan": plan}
    assert row["total_count"] == 2


async def test_results_appear_one_by_one(api, gen, hand, ask):
    """`GET /api/v1/job/{id}` shows the job as it is, with each track the moment it is there."""
    job = await gen(variants=2)
    path = f"/api/v1/job/{job}"
    _, pending = await ask(api, "get", path)
    assert (pending["job_id"], pending["status"], pending["completed_count"], pending["total_count"]) == (
        job,
        "pending",
        0,
        2,
    )
    assert (pending["results"], pending["error"]) == ([], None)
    assert pending["queue_position"] >= 1

    await hand.claim(job)
    await hand.stage("composing")
    await hand.result(index=0, prompt="slow piano", audio_url=AUDIO, seed=7, duration=12, peaks=[0, 0.5])
    _, running = await ask(api, "get", path)
    assert (running["status"], running["stage"], running["completed_count"]) == ("processing", "composing", 1)
    assert running["results"][0].items() >= {"prompt": "slow piano", "audio_url": AUDIO, "index": 0, "seed": 7}.items()

    await hand.finish()
    status, done = await ask(api, "get", path)
    assert (status, done["status"], done["completed_count"], done["total_count"]) == (200, "completed", 1, 2)
    assert done["error"] is None


async def test_a_failed_job_says_why(api, gen, hand, ask):
    """A failed job answers 200 with its error and code."""
    job = await gen()
    await hand.claim(job)
    await hand.fail("not_video", "This is not a video; send another link")
    status, view = await ask(api, "get", f"/api/v1/job/{job}")
    assert (status, view["status"], view["error"], view["error_code"]) == (
        200, "failed", "This is not a video; send another link", "not_video",
    )  # fmt: skip


async def test_ping_is_what_it_was(api, ask):
    """`GET /api/v1/ping` answers the two words that frontends know."""
    assert await ask(api, "get", "/api/v1/ping") == (200, {"status": "ok", "message": "RhythmAI API is running"})


async def test_cancel_is_immediate_for_a_pending_job(api, gen, ask):
    """`DELETE` ends a pending job, and once more changes nothing."""
    job = await gen()
    for _ in range(2):
        status, view = await ask(api, "delete", f"/api/v1/job/{job}")
        assert (status, view["status"]) == (200, "cancelled")


async def test_cancel_asks_a_running_job_to_stop(api, gen, hand, ask):
    """A running job stays processing until its worker heeds the wish."""
    job = await gen()
    await hand.claim(job)
    _, view = await ask(api, "delete", f"/api/v1/job/{job}")
    assert view["status"] == "processing"
    await hand.finish()
    _, view = await ask(api, "get", f"/api/v1/job/{job}")
    assert view["status"] == "cancelled"


async def test_the_same_idempotency_key_answers_with_the_first_job(api, gen, ask):
    """A repeated request is one job; the same key with another body is refused."""
    key = {"Idempotency-Key": uuid4().hex}
    assert await gen(headers=key, seed=1) == await gen(headers=key, seed=1)
    status, problem = await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO, "seed": 2}, headers=key)
    assert (status, problem["code"]) == (422, "idempotency_mismatch")


@pytest.mark.parametrize("key", ["short", "", "x" * 256, "ключ-ключ-ключ-ключ"])
async def test_a_bad_idempotency_key_is_refused(api, ask, key):
    """A key that could be guessed, is empty, too long or not ASCII is 422."""
    status, problem = await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO}, headers={"Idempotency-Key": key})
    assert (status, problem["code"]) == (422, "invalid_request")


async def test_too_many_pending_jobs_are_429_with_a_time(start_api, db, ask):
    """A client over its limit is told so, and when to come back."""
    api = await start_api(trusted_proxies="127.0.0.0/8")
    client = {"X-Forwarded-For": "192.0.2.77"}
    await db.execute("update private.settings set pending_per_client = 2")
    for _ in range(2):
        assert (await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO}, headers=client))[0] == 200
    async with api.post("/api/v1/gen", json={"video_url": VIDEO}, headers=client) as answer:
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) > 0
        assert (await answer.json(content_type=None))["code"] == "too_many_jobs"
    await db.execute("update private.settings set pending_per_client = 10000")


async def test_again_plays_the_old_directions(api, gen, hand, db, ask):
    """A new take keeps video, wish, options and directions, and drops the old seed."""
    job = await gen(seed=5, variants=3, format="wav", user_request="calm")
    await hand.claim(job)
    await hand.plan("piano", "strings", "drums")
    status, answer = await ask(api, "post", f"/api/v1/job/{job}/again")
    assert status == 200
    row = await db.fetchrow("select * from public.jobs where id = $1", UUID(answer["job_id"]))
    directions = [{"title": name, "prompt": name} for name in ("piano", "strings", "drums")]
    assert json.loads(row["options"]) == {"format": "wav", "plan": directions}
    assert (row["video_url"], row["user_request"], row["total_count"], row["plan"]) == (VIDEO, "calm", 3, None)


async def test_again_takes_one_variant_with_its_own_seed(api, gen, hand, db, ask):
    """With `variant` and `seed` only that direction is played, from that seed."""
    job = await gen()
    await hand.claim(job)
    await hand.plan("piano", "strings", "drums")
    _, answer = await ask(api, "post", f"/api/v1/job/{job}/again", json={"variant": 1, "seed": 42})
    row = await db.fetchrow("select options, total_count from public.jobs where id = $1", UUID(answer["job_id"]))
    assert json.loads(row["options"]) == {"seed": 42, "plan": [{"title": "strings", "prompt": "strings"}]}
    assert row["total_count"] == 1


async def test_again_before_there_is_a_plan_copies_the_request(api, gen, db, ask):
    """Without a plan the options are copied; a hand-written plan counts as one."""
    job = await gen(variants=4, negative_prompt="vocals")
    _, answer = await ask(api, "post", f"/api/v1/job/{job}/again", json={})
    options = await db.fetchval("select options from public.jobs where id = $1", UUID(answer["job_id"]))
    assert json.loads(options) == {"variants": 4, "negative_prompt": "vocals"}
    written = await gen(plan=[{"prompt": "one"}, {"prompt": "two"}])
    _, answer = await ask(api, "post", f"/api/v1/job/{written}/again", json={"variant": 1})
    options = await db.fetchval("select options from public.jobs where id = $1", UUID(answer["job_id"]))
    assert json.loads(options) == {"plan": [{"prompt": "two"}]}


async def test_again_refuses_what_is_not_there(api, gen, ask):
    """An unknown job is 404, a variant beyond the last is 422 and says which there are."""
    assert (await ask(api, "post", f"/api/v1/job/{uuid4()}/again"))[0] == 404
    status, problem = await ask(api, "post", f"/api/v1/job/{await gen()}/again", json={"variant": 3})
    assert (status, problem["detail"]) == (422, "variant 3 does not exist; this job has variants 0 to 2")


async def test_again_is_idempotent_by_its_key(api, gen, hand, ask):
    """A repeated `again` is one job, also when the plan was written in between."""
    job = await gen()
    key = {"Idempotency-Key": uuid4().hex}
    _, first = await ask(api, "post", f"/api/v1/job/{job}/again", headers=key)
    await hand.claim(job)
    await hand.plan("piano", "strings", "drums")
    assert (await ask(api, "post", f"/api/v1/job/{job}/again", headers=key))[1] == first


async def test_healthz_counts_living_workers(api, hand, gen, ask):
    """`GET /healthz` says that the database answers and how many workers beat."""
    await hand.claim(await gen())
    status, health = await ask(api, "get", "/healthz")
    assert (status, health["status"], health["database"]) == (200, "ok", "ok")
    assert health["workers"] >= 1


async def test_upload_signs_an_unguessable_path(api, storage, ask):
    """`POST /api/v1/upload` answers where to PUT the video; the path has 128 random bits and nothing of the user."""
    body = {"filename": "../../Mein Urlaub.mov", "content_type": "video/quicktime", "size": 1000}
    status, signed = await ask(api, "post", "/api/v1/upload", json=body)
    assert status == 200
    asked = storage.asked[0]
    path = asked["path"].removeprefix("/storage/v1/object/upload/sign/uploads/")
    assert len(bytes.fromhex(path.removesuffix(".mov"))) == 16
    assert asked["headers"]["apiKey"] == "sb_secret_of_the_tests"
    assert signed["upload_url"].startswith(f"{storage.url}/storage/v1/object/upload/sign/uploads/{path}?token=")
    assert signed["video_url"] == f"{storage.url}/storage/v1/object/public/uploads/{path}"
    assert (signed["method"], signed["headers"]) == ("PUT", {"content-type": "video/quicktime", "x-upsert": "false"})
    assert signed["expires_at"] == "2030-03-17T17:46:40+00:00"


async def test_upload_refuses_what_the_bucket_would(api, storage, ask):
    """A video over 512 MB is 413, a type the bucket does not take 422; Storage is not asked."""
    film = {"filename": "a.mp4", "content_type": "video/mp4", "size": 512 * 2**20 + 1}
    status, problem = await ask(api, "post", "/api/v1/upload", json=film)
    assert (status, problem["code"]) == (413, "payload_too_large")
    status, problem = await ask(api, "post", "/api/v1/upload", json={**film, "content_type": "text/html", "size": 1})
    assert (status, problem["code"]) == (422, "invalid_request")
    assert storage.asked == []


async def test_upload_without_storage_is_503(api, storage, ask):
    """Storage that answers nonsense is a clean 503 with a time to come back."""
    storage.broken = True
    async with api.post("/api/v1/upload", json={"filename": "a", "content_type": "video/mp4", "size": 1}) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert (await answer.json(content_type=None))["code"] == "storage_unavailable"
