"""`POST /api/v1/merge`: waiting for the video, and every way in which it does not come."""

from __future__ import annotations

import ast
import asyncio
import json
from pathlib import Path
from uuid import UUID

import pytest

VIDEO = "https://example.com/holiday.mp4"
AUDIO = "https://example.com/track.flac"


async def test_merge_waits_for_the_video(api, hand, ask, db):
    """`POST /api/v1/merge` answers with the merged video when it is ready in time."""
    body = {"video_url": VIDEO, "audio_url": AUDIO, "mode": "mix", "music_gain_db": -3.5, "duck": True}
    asking = asyncio.create_task(ask(api, "post", "/api/v1/merge", json=body))
    job = await newest_merge(db)
    options = json.loads(await db.fetchval("select options from public.jobs where id = $1", UUID(job)))
    assert options == {"audio_url": AUDIO, "mode": "mix", "music_gain_db": -3.5, "duck": True}
    await hand.claim(job)
    await hand.result(index=0, video_url="https://example.com/merged.mp4")
    await hand.finish()
    assert await asking == (200, {"video_url": "https://example.com/merged.mp4"})
    _, view = await ask(api, "get", f"/api/v1/job/{job}")
    assert (view["kind"], view["results"]) == ("merge", [{"index": 0, "video_url": "https://example.com/merged.mp4"}])


async def newest_merge(db) -> str:
    """The pending merge job, as soon as its row is there."""
    async with asyncio.timeout(30):
        while True:
            job = await db.fetchval("select id from public.jobs where kind = 'merge' and status = 'pending'")
            if job:
                return str(job)
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("error_code", "status", "code"),
    [("not_video", 422, "merge_failed"), ("upstream_error", 502, "merge_unavailable")],
)
async def test_a_failed_merge_says_whose_fault_it_is(api, hand, ask, db, error_code, status, code):
    """A merge that cannot work is 422, one that failed for an outside reason 502, both with job and cause."""
    asking = asyncio.create_task(ask(api, "post", "/api/v1/merge", json={"video_url": VIDEO, "audio_url": AUDIO}))
    job = await newest_merge(db)
    await hand.claim(job)
    await hand.fail(error_code, "It did not work")
    answered, problem = await asking
    assert (answered, problem["code"], problem["error_code"], problem["job_id"]) == (status, code, error_code, job)
    assert problem["detail"] == "The merge failed: It did not work"


async def test_every_passing_error_of_a_worker_is_known(db):
    """All codes that workers raise for trouble that may pass count as such here."""
    raised = {"unavailable"}
    for file in Path(__file__).parents[2].joinpath("worker").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Unavailable":
                raised |= {word.value.value for word in node.keywords if word.arg == "code"}
    assert "timeout" in raised
    assert [code for code in raised if not await db.fetchval("select queue.may_pass($1)", code)] == []


async def test_a_cancelled_merge_is_409(api, ask, db):
    """Whoever waits for a merge learns that it was cancelled."""
    asking = asyncio.create_task(ask(api, "post", "/api/v1/merge", json={"video_url": VIDEO, "audio_url": AUDIO}))
    await ask(api, "delete", f"/api/v1/job/{await newest_merge(db)}")
    status, problem = await asking
    assert (status, problem["code"]) == (409, "merge_cancelled")


@pytest.mark.parametrize("headers", [{}, {"Prefer": "wait=10, respond-async"}])
async def test_a_long_merge_answers_with_its_job(start_api, ask, headers):
    """When the wait is over, or at once with `Prefer: respond-async`, the answer is 202 with the job and its address."""
    api = await start_api(merge_wait_s=600 if headers else 0)
    body = {"video_url": VIDEO, "audio_url": AUDIO}
    async with api.post("/api/v1/merge", json=body, headers=headers) as answer:
        assert answer.status == 202
        job = (await answer.json())["job_id"]
        assert answer.headers["Location"] == f"/api/v1/job/{job}"
        assert ("Preference-Applied" in answer.headers) == bool(headers)
    assert (await ask(api, "delete", answer.headers["Location"]))[0] == 200
