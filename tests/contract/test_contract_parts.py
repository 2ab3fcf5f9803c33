"""Moments, briefs, parts that are made anew, and packs, on both hosts."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

import pytest

from tests.contract.conftest import VIDEO, ask
from tests.contract.keys import bearer
from tests.contract.test_contract_calls import AUDIO

MOMENTS = {
    "hits": [{"at_s": 2, "kind": "drop"}, {"at_s": 7.5, "kind": "accent"}],
    "segments": [{"start_s": 0, "prompt": None, "energy": 0.2}, {"start_s": 4, "prompt": "drums", "energy": None}],
}
"""As a worker saves them with its plan."""
BRIEF = {
    "duration": 12.0,
    "scenes": [{"start": 0, "end": 7.3, "brightness": 0.5, "saturation": 0.2, "warmth": 0.1, "motion": 0.7}],
    "cuts": [7.3],
    "speech": [{"start": 1, "end": 2.5}],
    "hits": [{"at": 7.3, "kind": "drop"}],
    "seed": 7,
    "directions": [{"prompt": "slow piano", "title": "First snow", "tempo_bpm": 72, "key": None}],
}


async def options_of(db, job):
    return json.loads(await db.fetchval("select options from public.jobs where id = $1", UUID(job)))


@pytest.fixture
def brief(api):
    """Asks for a brief; returns the id of its job."""

    async def brief(headers=None, **fields) -> str:
        body = {"video_url": VIDEO, **fields}
        status, answer = await ask(api, "post", "/api/v1/brief", json=body, headers=headers)
        assert status == 200, answer
        return answer["job_id"]

    return brief


@pytest.fixture
def finished(gen, hand):
    """Makes a job with one track; returns its id."""

    async def finished(fields=None, **row) -> str:
        job = await gen(variants=1, **(fields or {}))
        await hand.claim(job)
        await hand.plan("piano", **MOMENTS)
        track = {"audio_url": AUDIO, "seed": 71, "duration": 12, "gain_db": -3.25, "engine": "sketch"} | row
        await hand.result(index=0, **track)
        await hand.finish()
        return job

    return finished


async def test_a_brief_ends_with_what_gen_takes(api, brief, hand, db):
    """It has no results; its hits, seed and directions are taken as they are."""
    asked = {"variants": 1, "seed": 7, "duration": 12.5, "metadata": {"a": "b"}}
    job = await brief(user_request="calm", **asked)
    row = await db.fetchrow("select * from public.jobs where id = $1", UUID(job))
    assert (row["kind"], row["lane"], row["user_request"], json.loads(row["options"])) == (
        "brief", "interactive", "calm", asked,
    )  # fmt: skip
    await hand.claim(job)
    await hand.stage("describing")
    await hand.brief(BRIEF)
    _, view = await ask(api, "get", f"/api/v1/job/{job}")
    assert (view["kind"], view["brief"], view["total_count"]) == ("brief", None, 0)
    await hand.finish()
    _, view = await ask(api, "get", f"/api/v1/job/{job}")
    assert (view["status"], view["brief"], view["results"], view["progress"]) == ("completed", BRIEF, [], 100)
    body = {
        "video_url": VIDEO,
        "plan": view["brief"]["directions"],
        **{name: view["brief"][name] for name in ("hits", "seed")},
    }
    assert (await ask(api, "post", "/api/v1/gen", json=body))[0] == 200


async def test_a_brief_tells_its_webhook(brief, hand, db):
    """`job.completed` carries what was found."""
    job = await brief(callback_url="https://example.com/hook", events=["job.completed"])
    await hand.claim(job)
    await hand.brief(BRIEF)
    await hand.finish()
    delivery = await db.fetchval(
        "select private.webhook_body(d) from public.deliveries d where d.job_id = $1", UUID(job)
    )
    told = json.loads(delivery)
    assert (told["type"], told["data"]["brief"], told["data"]["kind"]) == ("job.completed", BRIEF, "brief")


async def test_the_stream_of_a_brief_ends(api, brief, hand):
    """Event `job` tells its end; there is no result to tell."""
    job = await brief()
    await hand.claim(job)
    await hand.brief(BRIEF)
    await hand.finish()
    async with api.get(f"/api/v1/job/{job}/events") as answer:
        told = (await answer.text()).splitlines()
    (state,) = (json.loads(line.removeprefix("data: ")) for line in told if line.startswith("data: "))
    assert (state["status"], state["completed_count"], state["total_count"]) == ("completed", 0, 0)
    assert "id: end" in told


async def test_briefs_are_limited_as_gen_is(api, db):
    """They count among the jobs that may wait, and a key makes one of two."""
    who = bearer(str(uuid4()))
    await db.execute("update private.settings set pending_per_owner = 2")
    first = await ask(api, "post", "/api/v1/brief", json={"video_url": VIDEO}, headers=who | {"Idempotency-Key": "a"})
    assert (
        await ask(api, "post", "/api/v1/brief", json={"video_url": VIDEO}, headers=who | {"Idempotency-Key": "a"})
        == first
    )
    assert (await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO}, headers=who))[0] == 200
    status, problem = await ask(api, "post", "/api/v1/brief", json={"video_url": VIDEO}, headers=who)
    assert (status, problem["code"]) == (429, "too_many_jobs")


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"plan": [{"prompt": "x"}]}, "unknown_field", "plan"),
        ({"engine": "sketch"}, "unknown_field", "engine"),
        ({"variants": 9}, "invalid_request", "variants"),
        ({"video_url": "ftp://a"}, "invalid_request", "video_url"),
    ],
)
async def test_a_brief_takes_no_more_than_it_needs(api, fields, code, field):
    """What only music needs is unknown to it."""
    status, problem = await ask(api, "post", "/api/v1/brief", json={"video_url": VIDEO} | fields)
    assert (status, problem["code"], problem["errors"][0]["field"]) == (422, code, field)


async def test_a_part_is_made_anew(api, finished, db):
    """The new job has what was kept of the track, its direction and its moments; it is one of one track."""
    job = await finished({"format": "mp3"}, master_url="https://example.com/m.flac")
    status, made = await ask(api, "post", f"/api/v1/job/{job}/again", json={"start": 2.5, "end": 6, "seed": 9})
    assert (status, list(made)) == (200, ["job_id", "urls"])
    row = await db.fetchrow("select * from public.jobs where id = $1", UUID(made["job_id"]))
    assert (row["engine"], row["total_count"]) == ("sketch", 1)
    options = json.loads(row["options"])
    assert options.pop("mend") == {
        "start": 2.5, "end": 6, "seed": 71, "gain_db": -3.25, "master_url": "https://example.com/m.flac",
    }  # fmt: skip
    assert (options["plan"], options["seed"], options["format"]) == ([{"title": "piano", "prompt": "piano"}], 9, "mp3")
    assert options["hits"] == [{"at": 2, "kind": "drop"}, {"at": 7.5, "kind": "accent"}]
    assert [segment["start"] for segment in options["segments"]] == [0, 4]
    _, view = await ask(api, "get", f"/api/v1/job/{job}")
    assert "m.flac" not in json.dumps(view)


@pytest.mark.parametrize(
    ("row", "wish", "status", "code"),
    [
        ({"gain_db": None}, {"start": 1, "end": 2}, 409, "cannot_mend"),
        ({"audio_url": "https://example.com/a.mp3"}, {"start": 1, "end": 2}, 409, "cannot_mend"),
        ({"engine": "mmaudio"}, {"start": 1, "end": 2}, 409, "cannot_mend"),
        ({}, {"start": 11, "end": 13}, 409, "cannot_mend"),
        ({}, {"start": 2, "end": 1}, 422, "invalid_request"),
        ({}, {"start": 2}, 422, "invalid_request"),
        ({}, {"end": 2}, 422, "invalid_request"),
        ({}, {"start": -1, "end": 2}, 422, "invalid_request"),
        ({}, {"start": 1, "end": "2"}, 422, "invalid_request"),
        ({}, {"start": 1, "end": 2, "engine": "acestep"}, 422, "invalid_request"),
        ({}, {"start": 1, "end": 2, "variant": 1}, 422, "invalid_request"),
    ],
)
async def test_a_part_that_cannot_be_made_anew_is_refused(api, finished, row, wish, status, code):
    """With the code for what was not kept, and with that for what was asked wrongly."""
    answer = await ask(api, "post", f"/api/v1/job/{await finished(**row)}/again", json=wish)
    assert (answer[0], answer[1]["code"]) == (status, code)


@pytest.mark.parametrize("tail", ["again", "pack"])
async def test_a_track_that_is_not_there_is_not_ready(api, gen, tail):
    """While the job waits, or where it ended without it."""
    part = {"start": 1, "end": 2, "variant": 0} if tail == "again" else {"variant": 0}
    job = await gen()
    for method, said in (("get", "is not there yet"), ("delete", "has ended without variant 0")):
        await ask(api, method, f"/api/v1/job/{job}")
        status, problem = await ask(api, "post", f"/api/v1/job/{job}/{tail}", json=part)
        assert (status, problem["code"], said in problem["detail"]) == (409, "not_ready", True)


@pytest.mark.parametrize("body", [None, {}, {"variant": 0}, {"variant": None}])
async def test_a_track_is_packed(api, finished, hand, db, body):
    """A pack is a job of its own, for any worker, whose one result is the zip file."""
    job = await finished({"metadata": {"a": "b"}, "callback_url": "https://example.com/hook"})
    status, made = await ask(api, "post", f"/api/v1/job/{job}/pack", json=body)
    assert (status, list(made)) == (200, ["job_id", "urls"])
    options = await options_of(db, made["job_id"])
    assert (options["audio_url"], options["packs"]["seed"], options["packs"]["duration"]) == (AUDIO, 71, 12)
    assert not options.keys() & {"callback_url", "metadata", "plan", "variants"}
    await hand.claim(made["job_id"])
    await hand.stage("packing")
    await hand.result(index=0, pack_url="https://example.com/a.zip")
    await hand.finish()
    _, view = await ask(api, "get", made["urls"]["job"])
    assert (view["kind"], view["status"], view["results"]) == (
        "pack", "completed", [{"index": 0, "pack_url": "https://example.com/a.zip"}],
    )  # fmt: skip
    assert view["directions"] == []  # nothing is to come
    assert view["hits"] == [{"at": 2, "kind": "drop"}, {"at": 7.5, "kind": "accent"}]


async def test_only_tracks_are_packed(api, brief):
    """Merges and briefs have none, unknown jobs are 404, and so are those of others."""
    body = {"video_url": VIDEO, "audio_url": AUDIO}
    _, merge = await ask(api, "post", "/api/v1/merge", json=body, headers={"Prefer": "respond-async"})
    for job, said in ((merge["job_id"], "a merge has no tracks"), (await brief(), "a brief has no tracks")):
        status, problem = await ask(api, "post", f"/api/v1/job/{job}/pack")
        assert (status, problem["code"]) == (422, "invalid_request")
        assert problem["detail"].startswith(said)
    for job in (uuid4(), await brief(headers=bearer())):
        assert (await ask(api, "post", f"/api/v1/job/{job}/pack"))[0] == 404


async def test_a_pack_is_made_once_for_a_key(api, finished):
    """The same key answers with the same job."""
    job, key = await finished(), {"Idempotency-Key": uuid4().hex}
    first = await ask(api, "post", f"/api/v1/job/{job}/pack", headers=key)
    assert await ask(api, "post", f"/api/v1/job/{job}/pack", headers=key) == first
    status, problem = await ask(api, "post", f"/api/v1/job/{job}/pack", json={"variant": 0}, headers=key)
    assert (status, problem["code"]) == (422, "idempotency_mismatch")


async def test_moments_and_segments_are_kept_and_told_of_the_plan(api, gen, hand, db):
    """What is asked stands in the options; what holds is told once the plan is there, as gen takes it."""
    asked = {
        "hits": [{"at": 2, "kind": "drop"}, {"at": 7.5}],
        "segments": [{"start": 0, "energy": 0.2}, {"start": 4, "prompt": "drums"}],
        "loop": True,
        "variants": 1,
    }
    job = await gen(**asked)
    assert json.loads(await db.fetchval("select options from public.jobs where id = $1", UUID(job))) == asked
    _, view = await ask(api, "get", f"/api/v1/job/{job}")
    assert (view["hits"], view["segments"], view["brief"]) == ([], [], None)
    await hand.claim(job)
    await hand.plan("piano", **MOMENTS)
    _, view = await ask(api, "get", f"/api/v1/job/{job}")
    assert view["hits"] == [{"at": 2, "kind": "drop"}, {"at": 7.5, "kind": "accent"}]
    assert view["segments"] == [
        {"start": 0, "prompt": None, "energy": 0.2},
        {"start": 4, "prompt": "drums", "energy": None},
    ]


async def test_no_hits_are_none_and_left_out_is_left_to_the_director(gen, db):
    """An empty list is kept, null is not."""
    options = "select options from public.jobs where id = $1"
    assert json.loads(await db.fetchval(options, UUID(await gen(hits=[])))) == {"hits": []}
    assert json.loads(await db.fetchval(options, UUID(await gen(hits=None, segments=None)))) == {}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"segments": [{"start": 4}, {"start": 4}]},
            "segments[1].start must be after that of the segment before",
        ),
        (
            {"loop": True, "format": "m4a"},
            "loop: m4a files have a gap at each end; a loop is flac or wav",
        ),
    ],
)
async def test_what_does_not_go_together_is_refused(api, fields, said):
    """Two fields, or two segments, that contradict each other are 422 in one sentence."""
    status, problem = await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO, **fields})
    assert (status, problem["code"], problem["detail"]) == (422, "invalid_request", said)
