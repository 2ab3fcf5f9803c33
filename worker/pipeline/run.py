"""The way of one job: fetch, look, describe, compose, master, upload, one result row after the other; or a merge."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from worker.domain import Clip, Frames, Job, Kind, Plan, Speech, Stage, Track, Variant
from worker.errors import Cancelled, LeaseLost, QueueUnavailable, Yielded
from worker.pipeline.engine_thread import EngineThread, Visit
from worker.pipeline.finishing import Finishing
from worker.pipeline.listen import Listening
from worker.pipeline.merge_job import merge
from worker.pipeline.plan import planned
from worker.pipeline.preview_job import preview
from worker.pipeline.rack import Rack
from worker.pipeline.turn import Turn
from worker.pipeline.video import fetch_video
from worker.ports import (
    Describer,
    Ear,
    Engine,
    Fetcher,
    ForPlayers,
    Looker,
    Master,
    Merger,
    Previewer,
    Queue,
    Signer,
    Storage,
)
from worker.timings import Timings
from worker.together import together

log = structlog.get_logger()
MAKES_ROOM = 3
"""How often a batch job hands itself back for interactive work; then it composes, or it would never be made while there is always some."""


@dataclass(slots=True, kw_only=True)
class Pipeline:
    """Runs one job to its last result row; how the job ends is the listener's to write.

    Raises Rejected, Unavailable, Cancelled, LeaseLost, Yielded, DeviceLost, QueueUnavailable.
    """

    queue: Queue
    fetcher: Fetcher
    looker: Looker
    ear: Ear
    describer: Describer
    rack: Rack | None
    """Its engines; None in a worker that only merges."""
    master: Master
    merger: Merger
    storage: Storage
    for_players: ForPlayers | None = None
    previewer: Previewer | None = None
    """None where tracks and films get no previews."""
    signer: Signer | None = None
    """None where files say where they come from in their tags alone."""
    freed: Callable[[], None] = lambda: None
    """Called when a job has all its music and goes on for what is made beside it alone."""
    fit: Callable[[str], str] = str
    """Trims a hand-written caption to what the engine's text encoder sees."""
    work_dir: Path | None = None
    mastering: Executor = field(default_factory=lambda: ThreadPoolExecutor(2, "mastering"))
    """Where tracks are mastered: few at a time, and never in the engine's way."""
    turn: Turn = field(default_factory=Turn)
    """Who has the engine."""
    listens_on: timedelta = timedelta(minutes=2)
    """How long a job whose music is there waits for what is said in a film behind the part that is set to music."""
    beside: int = 0
    """How many jobs have all their music."""
    _generating: int = 0
    """Jobs that are here and want the engine sooner or later."""

    async def run(
        self, job: Job, *, stopped: Callable[[], bool], draining: Callable[[], bool], timings: Timings
    ) -> None:
        """`stopped()`: the job was cancelled or lost; `draining()`: the worker wants to go. Both are asked often and cheap."""
        with tempfile.TemporaryDirectory(prefix="rhythmai-job-", dir=self.work_dir) as folder:
            if job.kind is Kind.MERGE:
                await merge(
                    job, Path(folder), timings,
                    queue=self.queue, fetcher=self.fetcher, ear=self.ear, merger=self.merger, storage=self.storage,
                    signer=self.signer,
                )  # fmt: skip
                return
            await self._generate(job, Path(folder), stopped, draining, timings)

    @property
    def _thread(self) -> EngineThread:
        assert self.rack is not None
        return self.rack.thread

    @contextmanager
    def _wanting(self) -> Iterator[None]:
        """A job that wants the engine sooner or later."""
        self._generating += 1
        try:
            yield
        finally:
            self._generating -= 1
            self._rest()

    def _rest(self) -> None:
        """Give the engine a quiet moment where no other job is here. What goes wrong in it is no job's fault, and only told."""
        if self.rack is None or self._generating:
            return

        def told(done: Future[None]) -> None:
            if not done.cancelled() and (error := done.exception()):
                log.warning("engine.rest_failed", error=str(error))

        with suppress(RuntimeError):  # the worker is closing, and its engine's thread with it
            self.rack.thread.rest(self.rack.rest, lambda: self._generating > 0).add_done_callback(told)

    async def _generate(
        self, job: Job, folder: Path, stopped: Callable[[], bool], draining: Callable[[], bool], timings: Timings
    ) -> None:
        if self.rack is None:
            raise Yielded("this worker has no engine")
        timings.engine = self.rack.label(self.rack.taken_for(job.engine))
        async with AsyncExitStack() as stack:
            with self._wanting():
                await self.queue.set_stage(job.lease, Stage.FETCHING, timings.engine)
                with timings.of("fetch"):
                    file = await fetch_video(job, self.fetcher, folder)
                async with self.rack.held(job.engine) as engine:
                    made_beside = await self._music(job, engine, folder, file, stack, stopped, draining, timings)
            await made_beside()

    def _for_speech(self, variant: Variant) -> Variant:
        """Music under words: engines that go by a caption are told to leave room."""
        prompt = variant.direction.prompt
        told = prompt if "sparse" in prompt else self.fit(f"sparse {prompt}")
        return replace(variant, direction=replace(variant.direction, prompt=told))

    async def _music(
        self,
        job: Job,
        engine: Engine,
        folder: Path,
        file: Path,
        stack: AsyncExitStack,
        stopped: Callable[[], bool],
        draining: Callable[[], bool],
        timings: Timings,
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        """All that the job wants its engine for; answers what waits for the rest, which goes on until `stack` is left."""
        async with aclosing(self.looker.look(file, job.options.duration_s, engine.frames)) as looks:
            with timings.of("look"):
                first = await anext(looks)
                assert isinstance(first, Clip)
            known = await self.queue.known_speech(job.lease)
            first = replace(first, speech=known.spans if known else ())
            listening, end = await stack.enter_async_context(self._beside(job, file, first, known, timings))

            await self.queue.set_stage(job.lease, Stage.DESCRIBING)
            with timings.of("describe"):
                plan, clip = await together(
                    self._plan(job, first, timings), self._seen(job, engine, first, looks, stopped, timings)
                )

        await self.queue.set_stage(job.lease, Stage.COMPOSING)
        clip = replace(clip, speech=listening.spans)  # as far as it was heard: no track waits for the ear
        missing = [
            self._for_speech(variant) if clip.is_mostly_speech and not job.asked_plan else variant
            for variant in plan.variants
            if variant.index not in job.done
        ]
        with timings.of("compose"):
            await self._compose(job, engine, folder, clip, plan, missing, stopped, draining, timings)
        return end

    @asynccontextmanager
    async def _beside(
        self, job: Job, file: Path, clip: Clip, known: Speech | None, timings: Timings
    ) -> AsyncIterator[tuple[Listening, Callable[[], Coroutine[Any, Any, None]]]]:
        """Meanwhile the film is heard and its preview is made. What is yielded waits for both, in nobody's way; leaving stops them."""
        previewing = asyncio.create_task(self._previewed(job, clip, timings))

        async def end() -> None:
            self.beside += 1
            try:
                self.freed()
                await listening.end()
                await previewing
            finally:
                self.beside -= 1

        try:
            async with Listening(
                job=job, file=file, queue=self.queue, ear=self.ear, timings=timings, patience=self.listens_on,
                known=known,
            ) as listening:  # fmt: skip
                yield listening, end
        finally:
            previewing.cancel()
            await asyncio.gather(previewing, return_exceptions=True)

    async def _previewed(self, job: Job, clip: Clip, timings: Timings) -> None:
        if self.previewer is not None:
            await preview(job, clip, timings, queue=self.queue, previewer=self.previewer, storage=self.storage)

    async def _compose(
        self,
        job: Job,
        engine: Engine,
        folder: Path,
        clip: Clip,
        plan: Plan,
        missing: list[Variant],
        stopped: Callable[[], bool],
        draining: Callable[[], bool],
        timings: Timings,
    ) -> None:
        """Each track is mastered, uploaded and written while the engine makes the next. One that fails does not take its siblings
        along, but for one that shows that the job is not ours any more: then the engine stops at its next step."""
        finish = Finishing(
            job=job, plan=plan, engine=engine, duration_s=clip.duration_s,
            scenes=() if clip.glanced else clip.scenes, timings=timings, queue=self.queue, storage=self.storage, master=self.master,
            for_players=self.for_players, mastering=self.mastering, signer=self.signer, folder=folder,
        )  # fmt: skip
        finishing: list[asyncio.Task[None]] = []
        visit = Visit(self._thread, stopped)

        def finished(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and isinstance(task.exception(), LeaseLost | Cancelled):
                visit.leave()

        broke: BaseException | None = None
        try:
            async with self._composed(job, engine, clip, missing, draining, visit) as tracks:
                async for track in tracks:
                    variant = next(v for v in missing if v.index == track.index)
                    finishing.append(asyncio.create_task(finish.put(variant, track)))
                    finishing[-1].add_done_callback(finished)
        except asyncio.CancelledError:
            for task in finishing:
                task.cancel()
            raise
        except Exception as error:  # noqa: BLE001
            broke = error
        finally:
            outcomes = await asyncio.gather(*finishing, return_exceptions=True)
        for outcome in (*outcomes, broke):
            if outcome is not None:
                raise outcome

    async def _plan(self, job: Job, clip: Clip, timings: Timings) -> Plan:
        if job.plan is not None:
            return job.plan
        with timings.of("plan"):
            if job.asked_plan:
                directions = tuple(replace(d, prompt=self.fit(d.prompt)) for d in job.asked_plan)
                describer = "user"
            else:
                # What is private in Storage nobody else can watch.
                public = None if job.video_url.startswith("storage:") else job.video_url
                directions, describer = await self.describer.describe(clip, job.user_request, job.total_count, public)
            return await self.queue.save_plan(job.lease, planned(directions, describer, job.options.seed))

    async def _seen(
        self,
        job: Job,
        engine: Engine,
        clip: Clip,
        looks: AsyncGenerator[Clip | Frames],
        stopped: Callable[[], bool],
        timings: Timings,
    ) -> Clip:
        """The clip as the engine gets it, while the describer thinks. The engine is asked for its turn once for every stretch of
        the film, when that is there: in between it composes for those who are ready."""
        visit = Visit(self._thread, stopped)

        async def watching(step: Callable[[], None]) -> None:
            async with self.turn.taken(composing=False):
                await visit.do(step)

        try:
            with timings.of("prepare"):
                viewer = await visit.do(partial(engine.prepare, clip, job.options, visit.over), beside=True)
                if viewer is None and engine.frames is not None:
                    await looks.aclose()
                while True:
                    with timings.timed("frames"):
                        more = await anext(looks, None)
                    if isinstance(more, Clip):
                        clip = more
                    elif more is None:
                        break
                    elif viewer is not None:
                        await watching(partial(viewer.see, more))
                if viewer is not None:
                    await watching(viewer.end)
        finally:
            visit.leave()
        return clip

    @asynccontextmanager
    async def _composed(
        self, job: Job, engine: Engine, clip: Clip, variants: list[Variant], draining: Callable[[], bool], visit: Visit
    ) -> AsyncIterator[AsyncIterator[Track]]:
        """The engine's tracks, each pulled on the engine's own thread; one job at a time has the engine.

        Raises Yielded where somebody else should have it first: before it has begun, since what it has begun it makes for all variants at once.
        """

        async def pull(tracks: Iterator[Track]) -> AsyncIterator[Track]:
            while (track := await visit.do(partial(next, tracks, None))) is not None:
                yield track

        async with self.turn.taken(composing=True):
            if reason := await self._room_needed(job, draining):
                raise Yielded(reason)
            tracks = await visit.do(partial(engine.compose, clip, variants, job.options, visit.over))
            try:
                yield pull(tracks)
            finally:
                visit.leave()
                if (close := getattr(tracks, "close", None)) is not None and not self._thread.hangs:
                    await visit.do(close)

    async def _room_needed(self, job: Job, draining: Callable[[], bool]) -> str | None:
        """Why this job should hand itself back before it is composed, or None."""
        if draining():
            return "the worker drains"
        if job.lane == "batch" and job.lease.attempt <= MAKES_ROOM:
            with suppress(QueueUnavailable):  # nobody is served by throwing away what is prepared
                return "interactive work waits" if await self.queue.interactive_waiting() else None
        return None
