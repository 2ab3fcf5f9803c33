"""Jobs that end early, or make room: what is kept, and what a stop leaves behind."""

import asyncio
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from worker.domain import Kind, Options
from worker.errors import LeaseLost, QueueUnavailable, Rejected, Unavailable, Yielded
from worker.pipeline.generate_job import MAKES_ROOM


async def test_one_bad_variant_does_not_take_its_siblings_along(run, seams):
    """A variant that cannot be mastered is reported after the others have their rows."""
    seams.fail_on = {1: Rejected("variant 1 is noise")}
    with pytest.raises(Rejected):
        await run()
    assert [row.index for row in seams.rows] == [0, 2]


async def test_an_engine_that_breaks_keeps_what_was_ready(run, seams):
    """What was composed before the engine failed is still mastered and written."""
    compose = seams.compose

    def breaks(clip, variants, options, cancelled):
        yield next(compose(clip, variants, options, cancelled))
        raise Unavailable("out of memory")

    seams.compose = breaks
    with pytest.raises(Unavailable):
        await run()
    assert [row.index for row in seams.rows] == [0]


@pytest.mark.parametrize(("why", "claim"), [("interactive", {"lane": "batch"}), ("drains", {"draining": lambda: True})])
async def test_a_job_is_handed_back_before_it_is_composed(run, seams, why, claim):
    """A batch job where interactive work waits, any job of a worker that drains: nothing that was made is thrown away."""
    seams.waiting = True
    with pytest.raises(Yielded, match=why):
        await run(**claim)
    assert seams.composed == seams.rows == []


@pytest.mark.parametrize("drains", [False, True])
async def test_what_is_begun_is_finished(run, seams, drains):
    """Interactive work or a drain that comes after the first track changes nothing any more: the engine makes all variants at once,
    and three tracks cost what three tracks cost."""
    draining, put = [], seams.put_result

    async def putting(lease, result):
        seams.waiting = not drains
        draining.append(drains)
        await put(lease, result)

    seams.put_result = putting
    await run(lane="batch", draining=lambda: any(draining))
    assert seams.composed == [0, 1, 2]
    assert len(seams.rows) == 3


@pytest.mark.parametrize(("lane", "attempt"), [("interactive", 1), ("batch", MAKES_ROOM + 1)])
async def test_who_does_not_make_room(run, seams, lane, attempt):
    """Interactive jobs run to their end whatever waits, and a batch job is composed after some claims nevertheless."""
    seams.waiting = True
    await run(lane=lane, attempt=attempt)
    assert len(seams.rows) == 3


async def test_a_lease_that_a_result_finds_lost_stops_the_engine(run, seams):
    """The engine stops at its next step, and not when all tracks are made for nobody."""

    async def lost(lease, result):
        raise LeaseLost("somebody else's")

    seams.put_result, seams.fail_on = lost, {"hang": {1}}
    with pytest.raises(LeaseLost):
        await run()
    assert seams.composed == [0, 1]


async def test_a_database_that_is_away_does_not_throw_tracks_away(run, seams):
    """Whether somebody waits is not worth the tracks that are composed already."""

    async def away():
        raise QueueUnavailable("away")

    seams.interactive_waiting = away
    await run(lane="batch")
    assert len(seams.rows) == 3


async def test_a_merge_that_lacks_one_half_stops_fetching_the_other(run, seams):
    """The download beside the one that failed ends with it: it would go on into a folder that is gone, for a job that is over."""
    other = asyncio.Event()

    async def fetch(url, into):
        if url.endswith(".flac"):
            raise Rejected("no music", code="not_found")
        try:
            await asyncio.Event().wait()
        finally:
            other.set()

    seams.fetch = fetch
    with pytest.raises(Rejected, match="no music"):
        await run(kind=Kind.MERGE, options=Options(audio_url="https://example.com/a.flac"), total_count=1)
    assert other.is_set()


async def test_cancelling_reaches_the_engines_step_loop(run, seams):
    """Cancelling the run stops an engine that is in the middle of a step, and the temporary files are gone."""
    seams.fail_on = {"hang": {1}}
    task = asyncio.create_task(run())
    while 1 not in seams.composed:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seams.closed.is_set()
    assert not seams.folder.exists()


async def test_a_mastering_process_that_is_killed_fails_no_job_for_good(run, pipeline, seams):
    """The job is to be tried again, with words about the box and not about the file."""
    pipeline.mastering = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    pipeline.master = _killed
    with pipeline.mastering, pytest.raises(Unavailable, match="process that masters was killed") as caught:
        await run()
    assert caught.value.code == "child_killed"


def _killed(track, **_):
    os._exit(9)
