"""Merges over REST: waited for, failed, cancelled, or watched, on both hosts."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

import pytest

from tests.contract.conftest import ask
from tests.contract.test_contract_calls import AUDIO, MERGE


async def newest_merge(db) -> str:
    """The pending merge job, as soon as its row is there."""
    async with asyncio.timeout(120):
        while True:
            job = await db.fetchval("select id from public.jobs where kind = 'merge' and status = 'pending'")
            if job:
                return str(job)
            await asyncio.sleep(0)


async def test_merge_waits_for_the_video(api, hand, db):
    """`POST /api/v1/merge` answers with the merged video when it is ready in time, and under which licence a track of ours stands."""
    asking = asyncio.create_task(
        ask(
            api,
            "post",
            "/api/v1/merge",
            json={**MERGE, "mode": "mix", "music_gain_db": -3.5, "duck": True, "duck_db": -12.5},
        )
    )
    job = await newest_merge(db)
    options = json.loads(await db.fetchval("select options from public.jobs where id = $1", UUID(job)))
    assert options == {"audio_url": AUDIO, "mode": "mix", "music_gain_db": -3.5, "duck": True, "duck_db": -12.5}
    await hand.claim(job)
    await hand.result(index=0, video_url="https://example.com/merged.mp4")
    await hand.finish()
    assert await asking == (200, {"video_url": "https://example.com/merged.mp4"})
    asking = asyncio.create_task(ask(api, "post", "/api/v1/merge", json=MERGE))
    job = await newest_merge(db)
    await hand.claim(job)
    await hand.note("The music plays alone.")
    licence = {"name": "MIT", "commercial": True, "url": "https://opensource.org/license/mit"}
    await hand.result(index=0, video_url="https://example.com/merged.mp4", licence=licence)
    await hand.finish()
    film = {"video_url": "https://example.com/merged.mp4", "licence": licence}
    assert await asking == (200, film | {"notes": ["The music plays alone."]})
    _, view = await ask(api, "get", f"/api/v1/job/{job}")
    assert (view["kind"], view["results"]) == ("merge", [{"index": 0} | film])


@pytest.mark.parametrize(
    ("error_code", "status", "code"),
    [("not_video", 422, "merge_failed"), ("upstream_error", 502, "merge_unavailable")],
)
async def test_a_failed_merge_says_whose_fault_it_is(api, hand, db, error_code, status, code):
    """A merge that cannot work is 422, one that failed for an outside reason 502, both with job and cause."""
    asking = asyncio.create_task(ask(api, "post", "/api/v1/merge", json=MERGE))
    job = await newest_merge(db)
    await hand.claim(job)
    await hand.fail(error_code, "It did not work")
    answered, problem = await asking
    assert (answered, problem["code"], problem["error_code"], problem["job_id"]) == (status, code, error_code, job)
    assert problem["detail"] == "The merge failed: It did not work"


async def test_a_cancelled_merge_is_409(api, db):
    """Whoever waits for a merge learns that it was cancelled."""
    asking = asyncio.create_task(ask(api, "post", "/api/v1/merge", json=MERGE))
    await ask(api, "delete", f"/api/v1/job/{await newest_merge(db)}")
    status, problem = await asking
    assert (status, problem["code"]) == (409, "merge_cancelled")


async def test_merge_does_not_wait_when_it_is_asked_not_to(api):
    """With `Prefer: respond-async` the answer is 202 with the job and its address."""
    async with api.post("/api/v1/merge", json=MERGE, headers={"Prefer": "wait=10, respond-async"}) as answer:
        assert (answer.status, answer.headers["Preference-Applied"]) == (202, "respond-async")
        assert answer.headers["Location"] == f"{api._base_url}/api/v1/job/{(await answer.json())['job_id']}"
    assert (await ask(api, "delete", answer.headers["Location"]))[0] == 200


async def test_a_merge_that_takes_too_long_answers_with_its_job(start):
    """After MERGE_WAIT_S the answer is 202 with the job id; the merge goes on."""
    async with start(MERGE_WAIT_S="0.01").session() as api:
        async with api.post("/api/v1/merge", json=MERGE) as answer:
            assert (answer.status, "Preference-Applied" in answer.headers) == (202, False)
            job = (await answer.json())["job_id"]
            assert answer.headers["Location"] == f"{api._base_url}/api/v1/job/{job}"
        assert (await ask(api, "delete", f"/api/v1/job/{job}"))[1]["status"] == "cancelled"
