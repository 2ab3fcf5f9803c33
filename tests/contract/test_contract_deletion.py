"""Deleting jobs over REST, on both hosts."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from tests.contract.conftest import ask
from tests.contract.keys import bearer
from tests.contract.test_contract_calls import AUDIO, MERGE
from tests.contract.test_contract_merges import newest_merge


async def erase(api, job, headers=None):
    """Deletes; returns status and answer."""
    return await ask(api, "delete", f"/api/v1/job/{job}?files=true", headers=headers)


async def test_a_deleted_job_is_not_found(api, gen, hand):
    """The answer is 202 with the job as it was last; from then on every call about it is 404, a second deletion, too."""
    job = await gen(variants=1)
    await hand.claim(job)
    await hand.result(index=0, audio_url=AUDIO)
    await hand.finish()
    status, view = await erase(api, job)
    assert (status, view["job_id"], view["status"], view["completed_count"]) == (202, job, "completed", 1)
    for method, tail in (
        ("get", ""),
        ("get", "/events"),
        ("post", "/again"),
        ("delete", ""),
        ("delete", "?files=true"),
    ):
        status, problem = await ask(api, method, f"/api/v1/job/{job}{tail}")
        assert (status, problem["code"]) == (404, "not_found")


async def test_a_pending_job_is_cancelled_and_gone(api, gen):
    """It says that it is cancelled, and is not found any more."""
    job = await gen()
    status, view = await erase(api, job)
    assert (status, view["status"]) == (202, "cancelled")
    assert (await ask(api, "get", f"/api/v1/job/{job}"))[0] == 404


async def test_a_running_job_goes_once_it_has_stopped(api, gen, hand):
    """Until its worker has let it go it is shown as it is; asked twice, the answer is the same."""
    job = await gen()
    await hand.claim(job)
    for _ in range(2):
        status, view = await erase(api, job)
        assert (status, view["status"]) == (202, "processing")
    assert await hand.result(index=0, audio_url=AUDIO) == "cancelled"
    await hand.finish()
    assert (await ask(api, "get", f"/api/v1/job/{job}"))[0] == 404


async def test_an_owned_job_is_deleted_by_its_owner(api, gen):
    """To everybody else there is no such job, and it stays."""
    ann = bearer(uuid4())
    job = await gen(headers=ann)
    for stranger in ({}, bearer(uuid4())):
        assert (await erase(api, job, stranger))[0] == 404
    assert (await ask(api, "get", f"/api/v1/job/{job}", headers=ann))[0] == 200
    assert (await erase(api, job, ann))[0] == 202
    assert (await ask(api, "get", "/api/v1/jobs", headers=ann))[1]["jobs"] == []


@pytest.mark.parametrize("asked", ["", "?files=false"])
async def test_without_files_a_job_is_cancelled(api, gen, asked):
    """The job stays, cancelled."""
    job = await gen()
    status, view = await ask(api, "delete", f"/api/v1/job/{job}{asked}")
    assert (status, view["status"]) == (200, "cancelled")
    assert (await ask(api, "get", f"/api/v1/job/{job}"))[0] == 200


@pytest.mark.parametrize(
    "files", ["files=", "files=1", "files=True", "files", "files=true&files=false", "files=true,true"]
)
async def test_anything_else_deletes_nothing(api, gen, files):
    """What is neither true nor false is 422, and the job goes on."""
    job = await gen()
    status, problem = await ask(api, "delete", f"/api/v1/job/{job}?{files}")
    assert (status, problem["code"], problem["detail"]) == (422, "invalid_request", "files: must be true or false")
    assert (await ask(api, "get", f"/api/v1/job/{job}"))[1]["status"] == "pending"


async def test_whoever_waits_for_a_deleted_merge_is_told(api, db):
    """It was cancelled."""
    asking = asyncio.create_task(ask(api, "post", "/api/v1/merge", json=MERGE))
    await erase(api, job := await newest_merge(db))
    status, problem = await asking
    assert (status, problem["code"], problem["job_id"]) == (409, "merge_cancelled", job)
