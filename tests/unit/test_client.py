"""The client against a small API: what it asks, and what it makes of the answers."""

from uuid import UUID, uuid4

import pytest

from rhythmai import Client
from rhythmai.answers import Hit, Licence, Segment, Span
from rhythmai.errors import BadInput, JobFailed, Refused, Unreachable

JOB = uuid4()
MIT = {"name": "MIT", "commercial": True, "url": "https://opensource.org/license/mit"}


def answer(status="processing", results=(), **more):
    return {
        "job_id": str(JOB), "status": status, "completed_count": len(results), "total_count": 3,
        "results": list(results), "error": None, **more,
    }  # fmt: skip


async def test_submit_sends_what_was_given(api, client):
    """Submit posts the video, the wish and only those options that were given, and returns the job's id."""
    api.lay("POST /gen", (200, {"job_id": str(JOB)}))
    assert (
        await client.submit("https://example.com/a.mp4", "calm", variants=2, seed=None, idempotency_key="k" * 16) == JOB
    )
    assert api.body() == {"video_url": "https://example.com/a.mp4", "user_request": "calm", "variants": 2}
    assert api.asked[0][1]["Idempotency-Key"] == "k" * 16


async def test_the_users_token_wins_over_the_key(api):
    """A request carries the user's token as Bearer, or else the key."""
    api.lay(f"GET /job/{JOB}", (200, answer()))
    async with (
        Client(api.url, api.url, "sb_publishable_x", "user.jwt") as signed_in,
        Client(api.url, key="sb_x") as visitor,
    ):
        await signed_in.job(JOB)
        await visitor.job(JOB)
    assert [headers["Authorization"] for _, headers, _ in api.asked] == ["Bearer user.jwt", "Bearer sb_x"]


async def test_the_address_may_end_with_the_path(api):
    """An address that has /api/v1 at its end already is the same API."""
    api.lay(f"GET /job/{JOB}", (200, answer()))
    async with Client(f"{api.url}/api/v1/") as client:
        assert (await client.job(JOB)).job_id == JOB


async def test_a_job_is_typed(api, client):
    """A job answer becomes typed values; fields of a newer API are ignored."""
    api.lay(
        f"GET /job/{JOB}",
        (200, answer(results=[{"index": 0, "prompt": "p", "audio_url": "u", "licence": MIT, "new": 1}], newer=True)),
    )
    job = await client.job(JOB)
    assert (job.job_id, job.status, job.ended) == (JOB, "processing", False)
    assert (job.results[0].audio_url, job.results[0].licence) == ("u", Licence(**MIT))


async def test_a_problem_is_refused_with_its_words(api, client):
    """A problem of the 400s raises Refused with status, code and detail."""
    api.lay("POST /gen", (422, {"title": "Invalid request", "code": "unknown_field", "detail": "Unknown field x"}))
    with pytest.raises(Refused, match="Unknown field x") as refusal:
        await client.submit("https://example.com/a.mp4", x=1)
    assert (refusal.value.status, refusal.value.code) == (422, "unknown_field")


@pytest.mark.parametrize("trouble", [(503, {"detail": "away"}), (502, b"<html>"), (200, b"not JSON")])
async def test_trouble_is_not_the_callers_fault(api, client, trouble):
    """A 5xx answer, and one that is no JSON, raises Unreachable."""
    api.lay(f"GET /job/{JOB}", trouble)
    with pytest.raises(Unreachable):
        await client.job(JOB)


async def test_nobody_there():
    """A port where nobody listens raises Unreachable and names the API."""
    async with Client("http://127.0.0.1:1") as client:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
            await client.job(JOB)


async def test_cancel_and_delete(api, client):
    """Both answer with the job as it was last."""
    api.lay(f"DELETE /job/{JOB}", (200, answer("cancelled")))
    assert (await client.cancel(JOB)).ended
    assert (await client.delete(JOB)).status == "cancelled"


async def test_again(api, client):
    """It answers with the new job's id; a start and an end go along with the variant that they are of."""
    api.lay(f"POST /job/{JOB}/again", (200, {"job_id": "00000000-0000-4000-8000-000000000001"}))
    assert await client.again(JOB, seed=7) == UUID("00000000-0000-4000-8000-000000000001")
    assert api.body() == {"seed": 7}
    await client.again(JOB, variant=1, start=4, end=8.5)
    assert api.body() == {"variant": 1, "start": 4, "end": 8.5}


async def test_a_brief_is_waited_for(api, client):
    """A brief is a job without results, watched to its end; a failed one raises JobFailed with the job's error."""
    told = {"duration": 2, "seed": 7, "directions": [{"prompt": "p"}], "hits": [{"at": 1.5, "kind": "drop"}], "new": 1}
    api.lay("POST /brief", (200, {"job_id": str(JOB)}))
    api.lay(f"GET /job/{JOB}", (200, answer("completed", kind="brief", total_count=0, brief=told)))
    made = []
    brief = await client.brief("https://example.com/a.mp4", "calm", variants=1, made=made.append)
    assert (made, brief.seed, brief.hits) == ([JOB], 7, (Hit(at=1.5, kind="drop"),))
    assert api.body(0) == {"video_url": "https://example.com/a.mp4", "user_request": "calm", "variants": 1}
    api.lay(f"GET /job/{JOB}", (200, answer("failed", error="no video stream", kind="brief")))
    with pytest.raises(JobFailed, match="no video stream"):
        await client.brief("https://example.com/a.mp4")


async def test_a_mended_result_says_what_is_new(api, client):
    """Gain, part and how late each moment is heard are typed; of an older API they are not there."""
    fit = {"cuts": 1, "on_beat": 1, "hits": [0.012, None]}
    results = [{"index": 0, "gain_db": -3.5, "mended": {"start": 4, "end": 8}, "fit": fit}, {"index": 1}]
    api.lay(f"GET /job/{JOB}", (200, answer(results=results, hits=[{"at": 6}], segments=[{"start": 0, "energy": 0.2}])))
    job = await client.job(JOB)
    new, old = job.results
    assert (new.gain_db, new.mended, new.fit.hits) == (-3.5, Span(start=4, end=8), (0.012, None))
    assert (old.gain_db, old.mended, old.fit) == (None, None, None)
    assert (job.hits, job.segments) == ((Hit(at=6),), (Segment(start=0, energy=0.2),))


@pytest.mark.parametrize("job_id", ["zz", "a/../../../openapi.json", ""])
async def test_what_is_no_id_is_not_asked_for(api, client, job_id):
    """What is not the id of a job is refused before the API is asked."""
    calls = (client.job, client.answer, client.cancel, client.delete, client.again, client.pack)
    for call in (*calls, lambda given: anext(client.watch(given))):
        with pytest.raises(BadInput, match="is not the id of a job"):
            await call(job_id)
    assert api.asked == []


async def test_a_merge_is_waited_for(api, client):
    """A merge is a job, told at once and watched until its video is there; no connection waits for it. One that fails says why."""
    api.lay("POST /merge", (202, {"job_id": str(JOB)}))
    api.lay(f"GET /job/{JOB}", (200, answer("completed", [{"index": 0, "video_url": "v"}], kind="merge")))
    told = []
    assert await client.merge("a", "b", mode="mix", duck=True, duck_db=-12, made=told.append) == "v"
    assert told == [JOB]
    assert api.body(0) == {"video_url": "a", "audio_url": "b", "mode": "mix", "duck": True, "duck_db": -12}
    assert api.asked[0][1]["Prefer"] == "respond-async", "no connection outlives a merge of minutes"
    api.lay(f"GET /job/{JOB}", (200, answer("failed", error="no video stream", kind="merge")))
    with pytest.raises(JobFailed, match="no video stream"):
        await client.merge("a", "b")


async def test_a_pack_is_waited_for(api, client):
    """A pack is a job of its own, told at once and watched until its zip is there; one that fails says why."""
    other = "00000000-0000-4000-8000-000000000001"
    api.lay(f"POST /job/{JOB}/pack", (200, {"job_id": other}))
    result = {"index": 0, "pack_url": "https://storage/a.zip"}
    api.lay(f"GET /job/{other}", (200, answer("completed", [result], kind="pack", job_id=other)))
    told = []
    assert await client.pack(JOB, variant=1, made=told.append) == "https://storage/a.zip"
    assert told == [UUID(other)]
    assert api.body(0) == {"variant": 1}
    api.lay(f"GET /job/{other}", (200, answer("failed", error="the film is gone", kind="pack", job_id=other)))
    with pytest.raises(JobFailed, match="the film is gone"):
        await client.pack(JOB)


async def test_a_list_goes_on_to_its_end(api):
    """Page after page, as a key that Realtime would not take."""
    page = {
        "jobs": [{"job_id": str(uuid4()), "status": status} for status in ("pending", "failed")],
        "next_cursor": "1.a",
    }
    last = {"jobs": [{"job_id": str(JOB), "status": "completed"}], "next_cursor": None}
    api.lay("GET /jobs", (200, page), (200, last))
    async with Client(api.url, supabase_url="http://127.0.0.1:9", key="sb_publishable_x", user_token="rk_x") as client:
        assert [job.job_id async for job in client.jobs()][-1] == JOB
        assert not client._topic(JOB).joined
    assert [headers["Authorization"] for _, headers, _ in api.asked] == ["Bearer rk_x"] * 2
