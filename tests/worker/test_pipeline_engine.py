"""Who has the engine, when and in which thread."""

import asyncio
import threading

import pytest

from worker.errors import Unavailable


async def test_an_engine_stays_in_the_thread_that_loaded_it(run, seams, pipeline):
    """What prepares and composes is the very thread that the worker loads and warms the engine in."""
    loaded_in = await asyncio.get_running_loop().run_in_executor(pipeline.engine_thread, threading.get_ident)
    await run()
    assert seams.threads == {loaded_in}


async def test_leaving_stops_an_engine_that_prepares(run, seams):
    """Guards `left` in `_seen`: a job that is cancelled while the engine looks at its film does not keep the engine's thread."""
    entered, told, over = threading.Event(), threading.Event(), threading.Event()

    def prepare(clip, options, cancelled):
        seams.cancelled = cancelled
        return seams

    def see(frames):
        entered.set()
        while not over.is_set():
            if seams.cancelled():
                told.set()
                return

    seams.prepare, seams.see = prepare, see
    task = asyncio.create_task(run())
    try:
        assert await asyncio.to_thread(entered.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(told.wait, 10)
    finally:
        over.set()


async def test_one_job_at_a_time_has_the_engine(run, seams):
    """Guards the engine's turn: two jobs at once are composed one after the other, as one device holds one job's features."""
    await asyncio.gather(run(), run())
    assert seams.composed == [0, 1, 2, 0, 1, 2]


async def test_the_engine_rests_when_no_job_is_left(run, seams):
    """Of two jobs at once only the one that ends last gives the engine a quiet moment, whose failure is nobody's."""
    await asyncio.gather(run(), run())
    assert await asyncio.to_thread(seams.rested.wait, 10)
    assert seams.rests == [False]
    seams.rested.clear()

    def broken(busy):
        seams.rested.set()
        raise Unavailable("no memory for a graph")

    seams.rest = broken
    await run()
    assert await asyncio.to_thread(seams.rested.wait, 10)
    assert len(seams.rows) == 9


async def test_the_engine_works_in_a_thread_of_its_own(run, seams):
    """Engine calls never run on the event loop's thread."""
    await run()
    assert seams.prepared.startswith("engine")


async def test_a_job_that_is_ready_composes_while_anothers_tracks_are_mastered(run, pipeline, seams):
    """Mastering holds up neither the engine's turn nor its thread."""
    mastering, may_end = threading.Event(), threading.Event()
    master = seams.master

    def slowly(track, **options):
        mastering.set()
        may_end.wait(20)
        return master(track, **options)

    pipeline.master = slowly
    first = asyncio.create_task(run())
    try:
        assert await asyncio.to_thread(mastering.wait, 20)
        second = asyncio.create_task(run())
        while seams.composed != [0, 1, 2, 0, 1, 2]:
            await asyncio.sleep(0)
        assert seams.rows == []
    finally:
        may_end.set()
    await asyncio.gather(first, second)
    assert len(seams.rows) == 6
