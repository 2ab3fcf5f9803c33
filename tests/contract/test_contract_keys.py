"""Keys for servers and lists of jobs, on both hosts."""

from __future__ import annotations

import hashlib
from uuid import UUID, uuid4

import pytest

from tests.contract.conftest import NO_JOB, VIDEO, ask
from tests.contract.keys import USED, bearer

UPLOAD = {"filename": "a.mp4", "content_type": "video/mp4", "size": 1}
AUDIO = "https://example.com/track.flac"


@pytest.fixture
def add_key(db):
    """Enters a key; returns the header of who calls with it, and its id."""

    async def add(limit: int = 50) -> tuple[dict[str, str], UUID]:
        key = f"rk_{uuid4().hex}{uuid4().hex}"
        USED.add(key)
        hashed = hashlib.sha256(key.encode()).hexdigest()
        key_id = await db.fetchval("select queue.add_key($1, $2, $3)", key[-8:], hashed, limit)
        return {"Authorization": f"Bearer {key}"}, key_id

    return add


async def test_a_job_made_with_a_key_belongs_to_it(api, gen, hand, db, add_key):
    """It is seen, repeated, followed and cancelled with that key; another key, a user and a visitor get a 404, and Realtime nobody."""
    mine, key_id = await add_key()
    job = await gen(headers=mine)
    row = await db.fetchrow("select key_id, tenant from public.jobs where id = $1", UUID(job))
    assert tuple(row) == (key_id, f"key:{key_id}")
    assert not await db.fetchval("select private.may_watch($1)", f"job:{job}")
    for stranger in ((await add_key())[0], bearer(), {}):
        for method, tail in (("get", ""), ("post", "/again"), ("delete", ""), ("get", "/events")):
            assert (await ask(api, method, f"/api/v1/job/{job}{tail}", headers=stranger))[0] == 404
    _, more = await ask(api, "post", f"/api/v1/job/{job}/again", headers=mine)
    assert await db.fetchval("select key_id from public.jobs where id = $1", UUID(more["job_id"])) == key_id
    await hand.claim(job)
    await hand.result(index=0, audio_url=AUDIO)
    await hand.finish()
    async with api.get(f"/api/v1/job/{job}/events", headers=mine) as answer:
        assert AUDIO in await answer.text()
    assert (await ask(api, "delete", f"/api/v1/job/{more['job_id']}", headers=mine))[1]["status"] == "cancelled"


async def test_a_key_that_holds_no_more_is_401(api, db, add_key):
    """One that nobody made, too; and the server that takes signed-in users only takes keys."""
    mine, key_id = await add_key()
    assert (await ask(api, "get", "/api/v1/jobs", headers=mine))[0] == 200
    assert await db.fetchval("select queue.revoke_key(k.name) from private.keys k where k.id = $1", key_id)
    for headers in (mine, {"Authorization": "Bearer rk_x"}, {"Authorization": "Bearer rk_"}):
        async with api.post("/api/v1/gen", json={"video_url": VIDEO}, headers=headers) as answer:
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert (await answer.json(content_type=None))["detail"].startswith("This key is unknown or revoked")


async def test_a_server_for_signed_in_users_takes_keys(start, add_key):
    """REQUIRE_AUTH asks that somebody be known, and a key is."""
    mine, _ = await add_key()
    async with start(REQUIRE_AUTH="true").session() as api:
        assert (await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO}, headers=mine))[0] == 200


async def test_a_key_has_a_limit_of_its_own(api, gen, hand, add_key):
    """So many of its jobs may wait, and so many of its uploads; an upload that a job reads waits no more."""
    mine, _ = await add_key(limit=2)
    await gen(headers=mine)
    jobs = [await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO}, headers=mine) for _ in range(2)]
    assert [status for status, _ in jobs] == [200, 429]
    uploads = [await ask(api, "post", "/api/v1/upload", json=UPLOAD, headers=mine) for _ in range(3)]
    assert [status for status, _ in uploads] == [200, 200, 429]
    assert uploads[2][1]["code"] == "too_many_uploads"
    await hand.claim(jobs[0][1]["job_id"])
    await gen(headers=mine, video_url=uploads[0][1]["video_url"])
    assert (await ask(api, "post", "/api/v1/upload", json=UPLOAD, headers=mine))[0] == 200
    assert (await ask(api, "post", "/api/v1/upload", json=UPLOAD, headers=bearer()))[0] == 200


async def test_lists_are_of_one_s_own_newest_first(api, gen, add_key):
    """Page by page, whatever is made meanwhile; by status; for a user as for a key; without results."""
    mine, _ = await add_key()
    for headers in (mine, bearer(uuid4())):
        made = [await gen(headers=headers, metadata={"place": str(place)}) for place in range(5)]
        await gen()
        await ask(api, "delete", f"/api/v1/job/{made[1]}", headers=headers)
        pages, cursor = [], ""
        while cursor is not None:
            _, page = await ask(api, "get", f"/api/v1/jobs?limit=2{cursor and '&cursor='}{cursor}", headers=headers)
            pages.append([job["job_id"] for job in page["jobs"]])
            cursor = page["next_cursor"]
            await gen(headers=headers)
        assert pages == [made[4:2:-1], made[2:0:-1], made[:1]]
        _, page = await ask(api, "get", "/api/v1/jobs?status=cancelled", headers=headers)
        (job,) = page["jobs"]
        assert (job["job_id"], job["metadata"], page["next_cursor"]) == (made[1], {"place": "1"}, None)
        _, whole = await ask(api, "get", f"/api/v1/job/{made[1]}", headers=headers)
        for name in ("results", "directions", "hits", "segments", "brief"):
            del whole[name]
        assert job == whole


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ("status=done", "status"), ("status=", "status"), ("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"),
        ("limit=", "limit"), ("limit=-1", "limit"), ("cursor=1", "cursor"), ("cursor=", "cursor"),
        (f"cursor={'9' * 18}.{NO_JOB}", "cursor"), ("status=a%00b", "status"), ("cursor=%F0%9F%8E%BB", "cursor"),
    ],
)  # fmt: skip
async def test_a_list_of_what_there_is_not_is_422(api, asked, field):
    """The sentence names the parameter and what it takes."""
    status, problem = await ask(api, "get", f"/api/v1/jobs?{asked}", headers=bearer())
    assert (status, problem["code"]) == (422, "invalid_request")
    assert problem["detail"].startswith(f"{field}: must be ")


async def test_a_list_needs_somebody(api):
    """A visitor is told to sign in."""
    status, problem = await ask(api, "get", "/api/v1/jobs")
    assert (status, problem["code"]) == (401, "unauthorized")


async def test_only_keys_name_what_lies_in_storage(api, gen, db, add_key):
    """storage://bucket/path of INPUT_BUCKETS is a key's video, for music and for a merge; a visitor, a user and other buckets get a 422 that
    says what to do, and so does what is encoded or climbs."""
    mine, _ = await add_key()
    film = {"video_url": "storage://films/2026/a film.mp4"}
    assert await db.fetchval("select queue.set_input_buckets('{films}')")
    try:
        job = await gen(headers=mine, **film)
        assert (await ask(api, "get", f"/api/v1/job/{job}", headers=mine))[1]["video_url"] == film["video_url"]
        merge = {**film, "audio_url": AUDIO}
        assert (await ask(api, "post", "/api/v1/merge", json=merge, headers=mine | {"Prefer": "respond-async"}))[
            0
        ] == 202
        for headers, body, remedy in (
            ({}, film, "upload the video"),
            (bearer(), film, "upload the video"),
            (mine, {"video_url": "storage://others/a.mp4"}, "name it there and run `rhythmai migrate`"),
            (mine, {"video_url": "storage://films/%2e%2e/a.mp4"}, "video_url: must be an http or https address"),
            (mine, {"video_url": "storage://films/../a.mp4"}, "storage://bucket/path"),
            (
                mine,
                {"video_url": VIDEO, "callback_url": film["video_url"]},
                "callback_url: must be an http or https address",
            ),
        ):
            status, problem = await ask(api, "post", "/api/v1/gen", json=body, headers=headers)
            assert (status, problem["code"]) == (422, "invalid_request")
            assert remedy in problem["detail"]
        again = await ask(api, "post", f"/api/v1/job/{job}/again", headers=mine)
        assert again[0] == 200
    finally:
        await db.fetchval("select queue.set_input_buckets('{}')")
