"""The way of one job, with small fakes at the seams: what is made, what is kept, what a stop leaves behind."""

import asyncio
import hashlib
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from tests.worker.memory_queue import job as made
from worker.domain import Clip, Direction, Kind, Options, Plan, Recording, Scene, Track, Variant, View
from worker.errors import Cancelled, QueueUnavailable, Rejected, Unavailable, Yielded
from worker.pipeline.run import Pipeline, derive_seed
from worker.pipeline.turn import Turn
from worker.timings import Timings

SCENE = Scene(start_s=0, end_s=2, brightness=0.5, saturation=0.5, warmth=0.5, motion=0.5)
CLIP = Clip(
    path=Path("x"), digest="d", duration_s=2, width=8, height=8, fps=25, has_audio=False, scenes=(SCENE,), stills=()
)


def direction(name):
    return Direction(
        title=name, prompt=name, description="", genre="", instruments=(), tempo_bpm=90, key="C major", mood=""
    )


class Seams:
    """Every port of the pipeline, in memory; `rows` and `objects` are what came out."""

    name, model, frames = "fake", "1", None

    def __init__(self):
        self.rows, self.objects, self.stages, self.composed, self.threads, self.seen = [], {}, [], [], set(), []
        self.rests, self.rested = [], threading.Event()
        self.plan, self.waiting, self.closed, self.fail_on = None, False, threading.Event(), {}

    async def set_stage(self, lease, stage):
        self.stages.append(stage.value)

    async def save_plan(self, lease, plan):
        self.plan = self.plan or plan
        return self.plan

    async def put_result(self, lease, result):
        self.rows.append(result)

    async def interactive_waiting(self):
        return self.waiting

    async def fetch(self, url, into):
        self.folder = into
        file = into / "video"
        file.write_bytes(b"x")
        return file

    async def look(self, path, duration_s):
        yield CLIP
        yield ("first",)
        yield ("second",)

    async def describe(self, clip, user_request, count, video_url):
        return tuple(direction(f"d{i}") for i in range(count)), "local"

    def prepare(self, clip, options, cancelled):
        return self

    def see(self, frames):
        self.prepared = threading.current_thread().name
        self.threads.add(threading.get_ident())
        self.seen.append(frames)

    def end(self):
        self.seen.append("end")

    def rest(self, busy):
        self.rests.append(busy())
        self.rested.set()

    def compose(self, clip, variants, options, cancelled):
        try:
            self.threads.add(threading.get_ident())
            for variant in variants:
                self.composed.append(variant.index)
                while variant.index in self.fail_on.get("hang", ()):
                    if cancelled():
                        raise Cancelled("stopped")
                yield Track(index=variant.index, samples=np.zeros((1, 8), np.float32), sample_rate=4)
        finally:
            self.closed.set()

    def master(self, track, *, duration_s, format, tags):
        if error := self.fail_on.get(track.index):
            raise error
        return Recording(
            data=bytes([track.index]), content_type="audio/flac", suffix=".flac", duration_s=duration_s, peaks=(), loudness_lufs=None
        )  # fmt: skip

    async def put(self, bucket, path, data, content_type):
        self.objects[f"{bucket}/{path}"] = data.read_bytes() if isinstance(data, Path) else data
        return f"https://storage/{bucket}/{path}"

    async def merge(self, video, audio, into, options):
        (into / "m.mp4").write_bytes(b"merged")
        return into / "m.mp4"


@pytest.fixture
def seams():
    return Seams()


@pytest.fixture
def pipeline(seams):
    return Pipeline(
        queue=seams, fetcher=seams, looker=seams, describer=seams, engine=seams, master=seams.master, merger=seams, storage=seams,
        fit=lambda text: text[:3],
    )  # fmt: skip


@pytest.fixture
def run(pipeline):
    async def run(stopped=lambda: False, draining=lambda: False, **changes):
        job = made(**{"lane": "interactive"} | changes)
        await asyncio.wait_for(pipeline.run(job, stopped=stopped, draining=draining, timings=Timings()), 20)
        return job

    return run


async def test_a_job_makes_one_row_for_each_variant(run, seams):
    """Three variants become three objects and three rows, in stages, with derived seeds."""
    await run(options=Options(seed=5))
    assert [row.index for row in seams.rows] == [0, 1, 2]
    assert [row.seed for row in seams.rows] == [derive_seed(5, i) for i in range(3)]
    assert seams.rows[0].seed == 5
    assert seams.stages == ["fetching", "describing", "composing"]
    assert len(seams.objects) == 3
    assert not seams.folder.exists()


async def test_an_object_is_named_by_its_content(run, seams):
    """Guards the hash in a Storage path: a zombie's other track, or another merge, gets another path and overwrites nothing."""
    await run()
    await run(kind=Kind.MERGE, options=Options(audio_url="https://example.com/a.flac"), total_count=1)
    assert len(seams.objects) == 4
    for path, data in seams.objects.items():
        assert hashlib.sha256(data).hexdigest()[:32] in path


async def test_an_engine_stays_in_the_thread_that_loaded_it(run, seams, pipeline):
    """What prepares and composes is the very thread that the worker loads and warms the engine in."""
    loaded_in = await asyncio.get_running_loop().run_in_executor(pipeline.engine_thread, threading.get_ident)
    await run()
    assert seams.threads == {loaded_in}


async def test_a_retry_makes_only_what_is_missing(run, seams):
    """With a saved plan and one result done, the describer is not asked and only the others are composed."""
    plan = Plan(
        variants=tuple(Variant(index=i, seed=i + 40, direction=direction("kept")) for i in range(3)), describer="vlm"
    )
    seams.plan = plan
    await run(plan=plan, done=frozenset({1}))
    assert seams.composed == [0, 2]
    assert {(row.index, row.seed, row.title, row.describer) for row in seams.rows} == {
        (0, 40, "kept", "vlm"),
        (2, 42, "kept", "vlm"),
    }


async def test_hand_written_directions_replace_the_describer(run, seams):
    """`plan` in the request is what gets composed, its captions trimmed to what the engine reads."""
    await run(asked_plan=(direction("mine"),), total_count=1)
    assert [(row.title, row.prompt, row.describer) for row in seams.rows] == [("mine", "min", "user")]


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


async def test_a_batch_job_makes_room_for_interactive_work(run, seams):
    """Between variants a batch job hands itself back when interactive work waits; its first result is kept."""
    seams.waiting = True
    with pytest.raises(Yielded, match="interactive"):
        await run(lane="batch")
    assert [row.index for row in seams.rows] == [0]
    assert seams.closed.is_set()


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


async def test_an_interactive_job_does_not_yield(run, seams):
    """Interactive jobs run to their end whatever waits."""
    seams.waiting = True
    await run(lane="interactive")
    assert len(seams.rows) == 3


async def test_a_draining_worker_stops_between_variants(run, seams):
    """Draining hands the job back after the variant that is ready."""
    with pytest.raises(Yielded, match="drains"):
        await run(draining=lambda: True)
    assert [row.index for row in seams.rows] == [0]


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


async def test_a_mastering_process_that_is_killed_fails_no_job_for_good(run, pipeline, seams):
    """The job is to be tried again, with words about the box and not about the file."""
    pipeline.mastering = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    pipeline.master = _killed
    with pipeline.mastering, pytest.raises(Unavailable, match="process that masters was killed") as caught:
        await run()
    assert caught.value.code == "child_killed"


def _killed(track, **_):
    os._exit(9)


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


async def test_a_merge_puts_one_video(run, seams):
    """A merge job fetches both, merges, uploads under its content's hash and writes result 0."""
    await run(kind=Kind.MERGE, options=Options(audio_url="https://example.com/a.flac"), total_count=1)
    assert [(row.index, row.audio_url) for row in seams.rows] == [(0, None)]
    assert seams.rows[0].video_url.startswith("https://storage/videos/")
    assert seams.stages == ["fetching", "merging"]


async def test_a_job_that_is_ready_composes_while_anothers_tracks_are_mastered(run, pipeline, seams):
    """Mastering holds up neither the engine's turn nor its thread."""
    mastering, may_end = threading.Event(), threading.Event()
    master = seams.master

    def slowly(track, *, duration_s, format, tags):
        mastering.set()
        may_end.wait(20)
        return master(track, duration_s=duration_s, format=format, tags=tags)

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


class SlowFilm:
    """A film of so many stretches; each is decoded when it may be."""

    def __init__(self, stretches=2):
        self.stretches, self.asked, self.may = stretches, asyncio.Semaphore(0), asyncio.Semaphore(0)
        self.closed = asyncio.Event()

    async def look(self, path, duration_s):
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

    async def look(path, duration_s):
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
        return (direction("d"),), "local"

    seams.describe = describe
    jobs = []
    for name in ("known", "held", "waits"):
        seams.look = lambda path, duration_s, name=name: one(name)
        looked = len(seams.stages)
        jobs.append(asyncio.create_task(run(total_count=1)))
        while seams.stages[looked:].count("describing") < 1:
            await asyncio.sleep(0)
        if name == "held":
            assert await asyncio.to_thread(held.wait, 20)
    while len(pipeline._turn._watching) < 1:
        await asyncio.sleep(0)
    described.set()
    while len(pipeline._turn._composing) < 1:
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

    async def look(path, duration_s):
        yield CLIP
        await asked.wait()
        yield replace(CLIP, scenes=(SCENE, SCENE))

    async def describe(clip, user_request, count, video_url):
        told.append(len(clip.scenes))
        asked.set()
        return tuple(direction(f"d{i}") for i in range(count)), "local"

    def composes(clip, *arguments):
        composed_to.append(len(clip.scenes))
        return compose(clip, *arguments)

    seams.look, seams.describe, seams.compose = look, describe, composes
    await run()
    assert (told, composed_to) == ([1], [2])
