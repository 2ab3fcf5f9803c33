"""How far a job is: read from its row, monotone within an attempt, in proportion to what the engine's stages take."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest


async def told(db, job) -> tuple[int, int | None]:
    answer = await db.fetchval("select queue.answer($1)", job["id"])
    return answer["progress"], answer["eta_s"]


async def pass_time(db, job, **time) -> None:
    await db.execute(
        "update public.jobs set stage_at = stage_at - $2::interval where id = $1", job["id"], timedelta(**time)
    )


async def end_one(db, worker, **seconds: int) -> None:
    """A job that has been through these stages, each for as long."""
    job = await worker.claim()
    for stage, passed in seconds.items():
        await worker.stage(job, stage)
        await pass_time(db, job, seconds=passed)
    await worker.put(job)
    await worker.finish(job)


@pytest.mark.parametrize("kind", ["generate", "merge"])
@pytest.mark.parametrize("hours", [0, 1e-4, 1e-3, 0.01, 1, 1000])
async def test_progress_never_falls_within_an_attempt(db, queue, kind, hours):
    """However long its stages take, against what was expected: it grows, is under 100 until the end, and what is left shrinks."""
    options = {"audio_url": "https://a"} if kind == "merge" else {"variants": 3}
    await queue.insert(kind=kind, options=options)
    worker = await queue.worker()
    job = await worker.claim()
    seen = [await told(db, job)]
    for stage in ("fetching", "merging") if kind == "merge" else ("fetching", "describing", "composing"):
        await worker.stage(job, stage)
        for step in range(3):
            await pass_time(db, job, hours=hours)
            if stage in {"composing", "merging"}:
                await worker.put(job, step if kind == "generate" else 0)
            seen.append(await told(db, job))
    assert (seen[0], seen[-1][0] <= 99) == ((0, None), True)
    assert all(before[0] <= after[0] for before, after in pairwise(seen))
    assert all(before[1] >= after[1] for before, after in pairwise(seen[1:]))
    await worker.finish(job)
    assert await told(db, job) == (100, None)


async def test_a_merge_that_listens_says_how_far_it_is(db, queue):
    """Its progress goes by how far the film was heard, grows from stage to stage, and does without the stage where it is not needed."""
    worker, seen = await queue.worker(), []
    await queue.insert(kind="merge", options={"audio_url": "https://a", "mode": "mix", "duck": True})
    job = await worker.claim()
    await worker.stage(job, "fetching")
    seen.append(await told(db, job))
    for heard_s in (0, 60, 1800, 3600):
        await worker.hear(job, heard_s=heard_s, film_s=3600)
        await worker.stage(job, "hearing")
        await pass_time(db, job, hours=1)
        seen.append(await told(db, job))
    await worker.stage(job, "merging")
    seen.append(await told(db, job))
    assert all(before[0] <= after[0] for before, after in pairwise(seen))
    assert all(before[1] >= after[1] for before, after in pairwise(seen))
    assert seen[3][0] - seen[1][0] == pytest.approx((seen[4][0] - seen[1][0]) / 2, abs=1)
    await worker.finish(job)
    await queue.insert(kind="merge", options={"audio_url": "https://a", "mode": "replace", "duck": True})
    job = await worker.claim()
    await worker.stage(job, "fetching")
    assert "hearing" not in await db.fetchval("select expected_s from public.jobs where id = $1", job["id"])


async def test_a_stage_has_the_share_that_the_engine_s_jobs_gave_it(db, queue):
    """The medians of the jobs before count, those of another engine or kind do not; the guess is for an engine that has done nothing."""
    worker, other = await queue.worker(), await queue.worker("gpu")
    await db.execute("update public.workers set engine = 'mmaudio' where id = $1", other.id)
    await queue.insert()
    first = await worker.claim()
    await worker.stage(first, "fetching")
    assert (await queue.job(first))["expected_s"] == {"fetching": 2, "describing": 6, "composing": 15}
    for passed in (10, 20, 90):
        await queue.insert()
        await end_one(db, worker, fetching=passed, describing=passed, composing=2 * passed)
    await queue.insert()
    await end_one(db, other, fetching=500, describing=500, composing=500)
    await queue.insert()
    job = await worker.claim()
    await worker.stage(job, "fetching")
    expected = (await queue.job(job))["expected_s"]
    assert {stage: round(seconds) for stage, seconds in expected.items()} == {
        "fetching": 20,
        "describing": 20,
        "composing": 40,
    }
    await worker.stage(job, "composing")
    assert await told(db, job) in {(49, 41), (50, 40), (50, 41)}  # the jobs took a moment of their own


async def test_what_others_take_meanwhile_does_not_move_a_job(db, queue):
    """What is expected is settled when an attempt begins, and settled anew with the next one."""
    worker = await queue.worker()
    await queue.insert()
    job = await worker.claim()
    await worker.stage(job, "composing")
    before = await told(db, job)
    await queue.insert()
    await end_one(db, worker, fetching=1000, describing=1000, composing=1)
    now = await told(db, job)
    assert before[0] <= now[0] <= before[0] + 10
    assert now[1] <= before[1]
    await worker.release(job)
    job = await worker.claim()
    await worker.stage(job, "fetching")
    assert (await told(db, job))[1] > 1000


async def test_stages_are_timed_once(db, queue):
    """A stage that is said twice goes on; an attempt begins with nothing; one that failed tells others nothing."""
    worker = await queue.worker()
    await queue.insert()
    job = await worker.claim()
    await worker.stage(job, "fetching")
    await pass_time(db, job, seconds=5)
    await worker.stage(job, "fetching")
    await worker.stage(job, "describing")
    assert round((await queue.job(job))["took_s"]["fetching"]) == 5
    await worker.fail(job, again=True)
    await queue.no_more_waiting()
    job = await worker.claim()
    await worker.stage(job, "fetching")
    assert (await queue.job(job))["took_s"] == {}
    await pass_time(db, job, seconds=500)
    await worker.fail(job, again=False)
    await queue.insert()
    job = await worker.claim()
    await worker.stage(job, "fetching")
    assert (await queue.job(job))["expected_s"]["fetching"] == 2
