"""How a film comes before the engine, stretch by stretch, and whose turn it is meanwhile."""

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.worker.seams import CLIP, SCENE, direction
from worker.domain import View
from worker.errors import Yielded
from worker.pipeline.turn import Turn


class SlowFilm:
    """A film of so many stretches; each is decoded when it may be."""

    def __init__(self, stretches=2):
        self.stretches, self.asked, self.may = stretches, asyncio.Semaphore(0), asyncio.Semaphore(0)
        self.closed = asyncio.Event()

    async def look(self, path, duration_s, views=None):
        yield CLIP
        try:
            for i in range(self.stretches):
                self.asked.release()
                await self.may.acquire()
                yield (i,)
        finally:
            self.closed.set()


@pytest.fixture
def watching(pipeline, seams):
    """The pipeline with an engine that wants to see frames, of slow films from now on."""

    def watching(film):
        seams.frames, pipeline.looker = (View(fps=8, side=8, cropped=False),), film
        return film

    return watching


async def test_the_stills_reach_the_describer_before_the_engines_frames_are_decoded(run, seams, watching):
    """The describer does not wait for what only the engine looks at."""
    film, describe = watching(SlowFilm(1)), seams.describe

    async def describes(*arguments):
        await film.asked.acquire()
        answer = await describe(*arguments)
        film.may.release()
        return answer

    seams.describe = describes
    await run()
    assert len(seams.rows) == 3


async def test_the_engine_is_shown_all_stretches_in_order(run, seams):
    """And then told that this was the film, before it composes."""
    compose = seams.compose

    def composes(*arguments):
        assert seams.seen == [("first",), ("second",), "end"]
        return compose(*arguments)

    seams.compose = composes
    await run()
    assert len(seams.rows) == 3


async def test_a_film_that_the_engine_knows_is_not_decoded(run, seams, watching):
    """Another seed or text costs no frames: the look is closed at once, while the describer still thinks."""
    film, describe = watching(SlowFilm()), seams.describe
    seams.prepare = lambda *_: None

    async def describes(*arguments):
        await film.closed.wait()
        return await describe(*arguments)

    async def look(path, duration_s, views=None):
        try:
            yield CLIP
            raise AssertionError
        finally:
            film.closed.set()

    film.look, seams.describe = look, describes
    await run()
    assert (len(seams.rows), seams.seen) == (3, [])


async def test_a_job_that_is_ready_composes_between_two_stretches_of_a_long_film(run, pipeline, seams, watching):
    """While 175 s of film are decoded slowly the engine is free, however often it was there to watch: another job gets it from
    beginning to end, and its tracks lie between two stretches of the film."""
    film = watching(SlowFilm(stretches=88))
    long = asyncio.create_task(run())
    for _ in range(5):
        await film.asked.acquire()
        film.may.release()
    await film.asked.acquire()
    while len(seams.seen) < 5:
        await asyncio.sleep(0)
    pipeline.looker = seams
    await run()
    assert (len(seams.rows), long.done()) == (3, False)
    assert seams.seen == [*((i,) for i in range(5)), ("first",), ("second",), "end"]
    for _ in range(83):
        film.may.release()
    await long
    assert len(seams.rows) == 6
    assert seams.seen[-2:] == [(87,), "end"]


async def test_who_is_ready_to_compose_goes_before_all_who_watch(run, seams, pipeline):
    """Also before those who have waited longer: the next stretch of a film may wait, a track may not."""
    held, may, order = threading.Event(), threading.Event(), []
    compose = seams.compose

    def see(frames):
        order.append(frames[0])
        if frames == ("held",):
            held.set()
            assert may.wait(20)

    def composes(clip, *arguments):
        order.append("compose")
        return compose(clip, *arguments)

    async def one(name):
        yield replace(CLIP, digest=name)
        yield (name,)

    pipeline.looker, seams.compose = seams, composes
    seams.prepare = lambda clip, options, cancelled: None if clip.digest == "known" else seams
    seams.see = see
    described = asyncio.Event()

    async def describe(clip, user_request, count, video_url):
        if clip.digest == "known":
            await described.wait()
        return (direction("d"),), "local", ()

    seams.describe = describe
    jobs = []
    for name in ("known", "held", "waits"):
        seams.look = lambda path, duration_s, views, name=name: one(name)
        looked = len(seams.stages)
        jobs.append(asyncio.create_task(run(total_count=1)))
        while seams.stages[looked:].count("describing") < 1:
            await asyncio.sleep(0)
        if name == "held":
            assert await asyncio.to_thread(held.wait, 20)
    while len(pipeline.turn._watching) < 1:
        await asyncio.sleep(0)
    described.set()
    while len(pipeline.turn._composing) < 1:
        await asyncio.sleep(0)
    may.set()
    await asyncio.gather(*jobs)
    assert order[:3] == ["held", "compose", "waits"]


async def test_a_turn_that_was_given_to_a_job_that_is_gone_goes_to_the_next():
    """Guards `_pass_on` after a cancel that comes between the gift and its taking, and the skipping of those who left the line."""
    turn, order = Turn(), []

    async def take(name, composing):
        async with turn.taken(composing=composing):
            order.append(name)

    async with turn.taken(composing=False):
        names = [("gone early", True), ("gone late", True), ("watches", False), ("composes", True)]
        tasks = [asyncio.create_task(take(*name)) for name in names]
        await asyncio.sleep(0)
        tasks[0].cancel()
    tasks[1].cancel()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
    assert order == ["composes", "watches"]
    await take("again", composing=False)
    assert order[-1] == "again"


async def test_who_waits_for_long_begins_anew():
    """A job does not spend its time limit on another's composing: it is handed back, and the turn goes to whoever waits still."""
    turn, ended = Turn(timedelta(milliseconds=20)), []

    async def wait(composing):
        try:
            async with turn.taken(composing=composing):
                ended.append("had it")
        except Yielded:
            ended.append("begins anew")

    async with turn.taken(composing=True):
        await asyncio.gather(wait(composing=True), wait(composing=False))
        assert ended == ["begins anew"] * 2
    await wait(composing=True)
    assert ended[-1] == "had it"


async def test_cancelling_stops_the_decoding(run, seams, watching):
    """A job that is cancelled while its frames are decoded ends there; the engine never hears of it."""
    film = watching(SlowFilm())
    task = asyncio.create_task(run())
    await film.asked.acquire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert film.closed.is_set()
    assert seams.seen == []
    assert not seams.folder.exists()


async def test_the_describer_gets_the_first_look_and_the_engine_the_last(run, seams):
    """A glance is enough to write directions by; the longer look goes on meanwhile, and what it found is composed to."""
    told, asked, composed_to, compose = [], asyncio.Event(), [], seams.compose

    async def look(path, duration_s, views=None):
        yield CLIP
        await asked.wait()
        yield replace(CLIP, scenes=(SCENE, SCENE))

    async def describe(clip, user_request, count, video_url):
        told.append(len(clip.scenes))
        asked.set()
        return tuple(direction(f"d{i}") for i in range(count)), "local", ()

    def composes(clip, *arguments):
        composed_to.append(len(clip.scenes))
        return compose(clip, *arguments)

    seams.look, seams.describe, seams.compose = look, describe, composes
    await run()
    assert (told, composed_to) == ([1], [2])


async def test_a_describer_is_given_no_private_address(run, seams):
    """What is read with the worker's key nobody else could watch: a describer that watches addresses is given none."""
    given = []

    async def describe(clip, user_request, count, video_url):
        given.append(video_url)
        return (direction("d"),), "local", ()

    seams.describe = describe
    for url in ("https://example.com/a.mp4", "storage://films/a.mp4"):
        await run(total_count=1, video_url=url)
    assert given == ["https://example.com/a.mp4", None]
