"""Briefs: what is found in a film and what the director makes of it, without any music."""

from __future__ import annotations

import pytest

from tests.conftest import fixture

BRIEF = {
    "duration": 12.0,
    "scenes": [],
    "cuts": [7.3],
    "speech": [],
    "hits": [{"at": 7.3, "kind": "drop"}],
    "seed": 7,
    "directions": [],
}
PLAN = {
    "variants": [], "describer": "local", "hits": [{"at_s": 7.3, "kind": "drop"}, {"at_s": 9, "kind": "stop"}],
    "segments": [{"start_s": 0, "prompt": None, "energy": 0.25}, {"start_s": 4, "prompt": "drums", "energy": None}],
}  # fmt: skip

PACKS = {"packs": {}, "audio_url": "https://a"}


@fixture
async def held(queue):
    """A worker without any engine, and the brief that it holds."""
    await queue.submit("brief", p_options={"variants": 2})
    worker = await queue.worker(kinds=("merge", "brief", "pack"), engines=())
    return worker, await worker.claim()


async def test_any_worker_takes_a_brief(queue, held):
    """It has no engine and will have no results."""
    _, job = held
    assert (job["kind"], job["engine"], job["total_count"], job["lane"]) == ("brief", "", 0, "interactive")


async def test_a_brief_is_completed_when_it_is_there(db, held):
    """It is shown when the job has ended, and not before."""
    worker, job = held
    await worker.stage(job, "describing")
    assert await worker.brief(job, BRIEF) == "ok"
    answer = await db.fetchval("select queue.answer($1)", job["id"])
    assert (answer["brief"], answer["status"]) == (None, "processing")
    await worker.finish(job)
    answer = await db.fetchval("select queue.answer($1)", job["id"])
    assert (answer["brief"], answer["status"], answer["results"]) == (BRIEF, "completed", [])


async def test_a_brief_that_is_not_there_has_failed(queue, held):
    """Nothing came out, so it says so; an operator gives it another try, and one that is complete none."""
    worker, job = held
    await worker.finish(job)
    row = await queue.job(job)
    assert (row["status"], row["error_code"]) == ("failed", "no_result")
    await queue.db.execute("select queue.retry($1)", job["id"])
    job = await worker.claim()
    await worker.brief(job, BRIEF)
    await worker.finish(job)
    with pytest.raises(Exception, match="has all of its results"):
        await queue.db.execute("select queue.retry($1)", job["id"])


async def test_the_first_brief_holds(queue, held):
    """A retry changes nothing that a user has seen."""
    worker, job = held
    await worker.brief(job, BRIEF)
    assert await worker.brief(job, BRIEF | {"seed": 8}) == "ok"
    assert (await queue.job(job))["brief"] == BRIEF


async def test_only_the_holder_tells_what_was_found(db, queue, held):
    """A lease that is lost, or a job that was cancelled, is told so."""
    worker, job = held
    await worker.release(job)
    assert await worker.brief(job, BRIEF) == "lost"
    assert (await queue.job(job))["brief"] is None
    job = await worker.claim()
    await db.execute("select queue.cancel($1)", job["id"])
    assert await worker.brief(job, BRIEF) == "cancelled"


@pytest.mark.parametrize("stage", ["fetching", "describing", "composing", "hearing", "packing"])
async def test_a_brief_knows_how_far_it_is(db, held, stage):
    """In any stage, though no result will ever count."""
    worker, job = held
    await worker.stage(job, stage)
    assert 0 <= (await db.fetchval("select queue.answer($1)", job["id"]))["progress"] < 100


async def test_moments_and_segments_are_told_as_gen_takes_them(db, queue):
    """As soon as the plan is there, and none before."""
    await queue.submit()
    worker = await queue.worker()
    job = await worker.claim()
    answer = await db.fetchval("select queue.answer($1)", job["id"])
    assert (answer["hits"], answer["segments"]) == ([], [])
    await worker.plan(job, PLAN)
    answer = await db.fetchval("select queue.answer($1)", job["id"])
    assert answer["hits"] == [{"at": 7.3, "kind": "drop"}, {"at": 9, "kind": "stop"}]
    assert answer["segments"] == [
        {"start": 0, "prompt": None, "energy": 0.25},
        {"start": 4, "prompt": "drums", "energy": None},
    ]


async def test_no_kind_starves_another(queue):
    """Whichever kind has ever so many jobs before it, one of each is among the first hundred claims."""
    for kind, options in (("generate", {}), ("merge", {"audio_url": "https://a"}), ("brief", {}), ("pack", PACKS)):
        for _ in range(100 if kind == "generate" else 1):
            await queue.insert(kind=kind, options=options)
    worker = await queue.worker()
    assert {(await worker.claim())["kind"] for _ in range(100)} == {"generate", "merge", "brief", "pack"}
