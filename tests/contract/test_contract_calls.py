"""Every call of the contract, from outside, on both hosts."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import jsonschema_rs
import pytest

from edge_api.contract import contract
from tests.contract.conftest import VIDEO, ask
from tests.contract.keys import bearer

AUDIO = "https://example.com/track.flac"
MERGE = {"video_url": VIDEO, "audio_url": AUDIO}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


async def test_what_makes_a_job_leads_on_to_it(api, gen, db):
    """`gen`, `brief`, `again` and an unfinished `merge` answer with the addresses of the job, its events and its end."""
    for path, body in (
        ("gen", {"video_url": VIDEO}), ("brief", {"video_url": VIDEO}), (f"job/{await gen()}/again", {}), ("merge", {"video_url": VIDEO, "audio_url": AUDIO}),
    ):  # fmt: skip
        async with api.post(f"/api/v1/{path}", json=body, headers={"Prefer": "respond-async"}) as answer:
            made = await answer.json()
        url = f"{api._base_url}/api/v1/job/{made['job_id']}"
        assert made["urls"] == {"job": url, "events": f"{url}/events", "cancel": url}
        assert answer.headers["Location"] == url
        assert (await ask(api, "get", made["urls"]["job"]))[1]["status"] == "pending"
        assert (await ask(api, "delete", made["urls"]["cancel"]))[1]["status"] == "cancelled"
        async with api.get(made["urls"]["events"]) as answer:
            assert b"id: end" in await answer.read()


async def test_a_job_tells_how_far_it_is_and_what_will_be_heard(api, gen, hand, db):
    """Progress grows from 0 to 100, directions are there before any music, and what is not kept for ever says until when."""
    job = await gen(variants=2)
    path = f"/api/v1/job/{job}"
    seen = [(await ask(api, "get", path))[1]]
    await hand.claim(job)
    await hand.stage("describing")
    await hand.plan("piano", "strings")
    seen.append((await ask(api, "get", path))[1])
    assert [direction["title"] for direction in seen[1]["directions"]] == ["piano", "strings"]
    assert seen[1]["results"] == []
    await hand.stage("composing")
    for index in range(2):
        await hand.result(index=index, audio_url=AUDIO)
        seen.append((await ask(api, "get", path))[1])
    await hand.finish()
    await db.execute("update private.settings set keep_for = '1 day'")
    seen.append((await ask(api, "get", path))[1])
    await db.execute("update private.settings set keep_for = null")
    told = [view["progress"] for view in seen]
    assert told == sorted(set(told))
    assert (told[0], told[-1]) == (0, 100)
    assert [view["eta_s"] is None for view in seen] == [True, False, False, False, True]
    assert [view["expires_at"] is None for view in seen] == [True] * 4 + [False]
    assert datetime.fromisoformat(seen[-1]["expires_at"]) - datetime.fromisoformat(
        seen[-1]["finished_at"]
    ) == timedelta(days=1)


async def test_gen_makes_an_interactive_job(api, db):
    """`POST /api/v1/gen` inserts the row; what goes beyond video and wish becomes its options, null is left out."""
    asked = {
        "variants": 2, "seed": 2**32 - 1, "duration": 8.5, "negative_prompt": "vocals", "conditioning": "text",
        "format": "mp3", "loudness_lufs": -16, "callback_url": "https://example.com/hook", "events": ["job.failed", "result.ready"],
        "metadata": {"order": "4711", "who.is-it": "☀"},
    }  # fmt: skip
    body = {"video_url": VIDEO, "user_request": "warm ☀", **asked, "plan": None}
    status, answer = await ask(api, "post", "/api/v1/gen", json=body, headers={"traceparent": TRACE})
    assert (status, list(answer)) == (200, ["job_id", "urls"])
    row = await db.fetchrow("select * from public.jobs where id = $1", UUID(answer["job_id"]))
    assert (row["video_url"], row["user_request"], row["lane"], row["total_count"]) == (
        VIDEO,
        "warm ☀",
        "interactive",
        2,
    )
    assert (row["owner"], row["status"], row["traceparent"]) == (None, "pending", TRACE)
    assert row["tenant"].startswith("client:")
    assert json.loads(row["options"]) == asked
    assert (await ask(api, "get", f"/api/v1/job/{answer['job_id']}"))[1]["metadata"] == asked["metadata"]


async def test_a_plan_is_kept_as_it_was_written(gen, db):
    """Whole numbers written as 3.0 are whole numbers; a null wish and none at all are the empty one."""
    plan = [
        {"prompt": "slow piano"},
        {"prompt": "drums", "tempo_bpm": 140, "key": "F# minor", "instruments": ["drums"]},
    ]
    row = await db.fetchrow(
        "select options, total_count, user_request from public.jobs where id = $1",
        UUID(await gen(plan=plan, seed=3.0, user_request=None)),
    )
    assert (json.loads(row["options"]), row["total_count"], row["user_request"]) == ({"plan": plan, "seed": 3}, 2, "")
    wish = "select user_request from public.jobs where id = $1"
    assert await db.fetchval(wish, UUID(await gen())) == ""


async def test_results_appear_one_by_one(api, gen, hand):
    """`GET /api/v1/job/{id}` shows the job as it is, with each track the moment it is there."""
    job = await gen(variants=2)
    path = f"/api/v1/job/{job}"
    _, view = await ask(api, "get", path)
    assert (view["job_id"], view["status"], view["completed_count"], view["total_count"]) == (job, "pending", 0, 2)
    assert (view["results"], view["error"], view["queue_position"] >= 1) == ([], None, True)
    await hand.claim(job)
    await hand.stage("composing")
    await hand.note("The track is quieter than usual.")
    loud = {"loudness_lufs": -15.5, "true_peak_db": -1.25}
    loud |= {"audio_preview_url": "https://example.com/track.m4a", "ignored": ["negative_prompt"]}
    loud |= {"licence": {"name": "CC-BY-NC-4.0", "commercial": False, "url": "https://example.com/by-nc"}}
    loud["fit"] = {
        "cuts": 5, "on_beat": 4, "chance": 0.24, "luck": 0.013, "curve": 0.41, "lra_lu": 4.2, "score": 0.74, "hits": [0.012, None],
    }  # fmt: skip
    loud["gain_db"] = -3.25
    await hand.result(index=0, prompt="slow piano", audio_url=AUDIO, seed=7, duration=12, peaks="AIA=", **loud)
    _, view = await ask(api, "get", path.upper().replace("API/V1/JOB", "api/v1/job"))
    assert (view["status"], view["stage"], view["completed_count"]) == ("processing", "composing", 1)
    assert (
        view["results"][0].items()
        >= ({"prompt": "slow piano", "audio_url": AUDIO, "index": 0, "seed": 7, "mended": None} | loud).items()
    )
    await hand.result(index=1, audio_url=AUDIO, mended={"start_s": 1.5, "end_s": 4})
    _, view = await ask(api, "get", path)
    assert view["results"][1]["mended"] == {"start": 1.5, "end": 4}
    assert view["notes"] == ["The track is quieter than usual."]
    assert view["speech"] is None
    await hand.hear((1.25, 2.5), (4, 6), film_s=8)
    _, view = await ask(api, "get", path)
    assert view["speech"] == [{"start": 1.25, "end": 2.5}, {"start": 4, "end": 6}]
    await hand.finish()
    status, view = await ask(api, "get", path)
    assert (status, view["status"], view["error"]) == (200, "completed", None)
    assert (view["completed_count"], view["total_count"]) == (2, 2)


async def test_a_job_answers_exactly_the_described_members(api, gen, hand):
    """A real job with results of both kinds has all described members and no others."""
    components = contract()["components"]
    schemas = components["schemas"]
    job = await gen(variants=1)
    await hand.claim(job)
    await hand.result(index=0, prompt="x", audio_url=AUDIO, seed=1, duration=2.5, bpm=90, peaks="GQ==")
    _, view = await ask(api, "get", f"/api/v1/job/{job}")
    whole = {"$ref": "#/components/schemas/Job", "components": components}
    jsonschema_rs.Draft202012Validator(whole).validate(view)
    assert set(view) == set(schemas["Job"]["required"]) == set(schemas["Job"]["properties"])
    assert set(view["results"][0]) == set(schemas["Track"]["required"]) == set(schemas["Track"]["properties"])


async def test_a_failed_job_says_why(api, gen, hand):
    """A failed job answers 200 with its error and code."""
    job = await gen()
    await hand.claim(job)
    await hand.fail("not_video", "This is not a video; send another link")
    status, view = await ask(api, "get", f"/api/v1/job/{job}")
    assert (status, view["status"]) == (200, "failed")
    assert (view["error"], view["error_code"]) == ("This is not a video; send another link", "not_video")


async def test_cancel_is_immediate_for_a_pending_job_and_a_wish_for_a_running_one(api, gen, hand):
    """`DELETE` ends a pending job, once more changes nothing; a running one ends when its worker heeds."""
    pending, running = await gen(), await gen()
    for _ in range(2):
        status, view = await ask(api, "delete", f"/api/v1/job/{pending}")
        assert (status, view["status"]) == (200, "cancelled")
    await hand.claim(running)
    assert (await ask(api, "delete", f"/api/v1/job/{running}"))[1]["status"] == "processing"
    await hand.finish()
    assert (await ask(api, "get", f"/api/v1/job/{running}"))[1]["status"] == "cancelled"


@pytest.mark.parametrize(("bare", "quoted"), [("{}", '"{}"'), ('{}"\\', '"{}\\"\\\\"'), ('"{}"x"', '"\\"{}\\"x\\""')])
async def test_a_key_in_quotes_is_the_bare_one(gen, bare, quoted):
    """An RFC 9651 string and its content are one key; what is no such string is taken as it stands."""
    key = uuid4().hex
    first = await gen(headers={"Idempotency-Key": bare.format(key)})
    assert await gen(headers={"Idempotency-Key": quoted.format(key)}) == first
    assert await gen(headers={"Idempotency-Key": f'"{key}'}) != first


async def test_the_same_idempotency_key_answers_with_the_first_job(api, gen):
    """A repeated request is one job; the same key with another body is refused."""
    key = {"Idempotency-Key": uuid4().hex}
    assert await gen(headers=key, seed=1) == await gen(headers=key, seed=1)
    status, problem = await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO, "seed": 2}, headers=key)
    assert (status, problem["code"]) == (422, "idempotency_mismatch")


async def test_a_user_takes_any_key(gen):
    """A key of one's own cannot be guessed into by others: short ones do."""
    key = {**bearer(), "Idempotency-Key": "1"}
    assert await gen(headers=key) == await gen(headers=key)


@pytest.mark.parametrize("key", ["short", "", "x" * 256, "ключ-ключ-ключ-ключ"])
async def test_a_bad_idempotency_key_is_refused(api, key):
    """A key that could be guessed, is empty, too long or not ASCII is 422."""
    headers = {"Idempotency-Key": key}
    status, problem = await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO}, headers=headers)
    assert (status, problem["code"]) == (422, "invalid_request")


async def test_a_job_waits_for_the_engine_that_it_asks_for(api, gen, hand, db):
    """`engine` is told back, and `waiting_for` while no worker has it; a job that leaves it open waits for none."""

    async def told(job: str) -> tuple[str, str | None]:
        view = (await ask(api, "get", f"/api/v1/job/{job}"))[1]
        return view["engine"], view["waiting_for"]

    for open_job in (await gen(), await gen(engine="auto"), await gen(engine=None)):
        assert await told(open_job) == ("auto", None)
    job = await gen(engine="acestep")
    assert await told(job) == ("acestep", "engine")
    box = await db.fetchval("select queue.register('box', '{generate}', '{acestep}', '1', '1 hour')")
    assert await told(job) == ("acestep", None)
    assert "acestep" in (await ask(api, "get", "/healthz"))[1]["engines"]
    await db.execute("select queue.leave($1)", box)
    assert await told(job) == ("acestep", "engine")
    assert "acestep" not in (await ask(api, "get", "/healthz"))[1]["engines"]


async def test_the_description_is_served(api):
    """`GET /openapi.json` is openapi.yaml."""
    assert await ask(api, "get", "/openapi.json") == (200, json.loads(json.dumps(contract())))


async def test_ping_and_health(api, gen, hand):
    """`ping` answers the two words that frontends know, `healthz` counts living workers."""
    assert await ask(api, "get", "/api/v1/ping") == (200, {"status": "ok", "message": "RhythmAI API is running"})
    await hand.claim(await gen())
    status, health = await ask(api, "get", "/healthz")
    assert (status, health["status"], health["database"]) == (200, "ok", "ok")
    assert health["workers"] >= 1


async def test_what_was_seen_is_not_sent_again(api, gen, hand):
    """A job that comes with the mark of an answer that was seen gets a 304 until it has changed."""
    job = await gen()
    async with api.get(f"/api/v1/job/{job}") as answer:
        mark = answer.headers["ETag"]
        assert answer.headers["Cache-Control"] == "private, no-cache"
    for seen in (mark, f'"other", {mark}', f"W/{mark}", "*"):
        async with api.get(f"/api/v1/job/{job}", headers={"If-None-Match": seen}) as answer:
            assert (answer.status, answer.headers["ETag"], await answer.read()) == (304, mark, b"")
    await hand.claim(job)
    async with api.get(f"/api/v1/job/{job}", headers={"If-None-Match": mark}) as answer:
        assert (answer.status, (await answer.json())["status"]) == (200, "processing")
        assert answer.headers["ETag"] != mark
