"""The way of a job that makes music: fetch, look, describe, compose, master, upload, one result row after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from worker.domain import Clip, Frames, Hit, Job, Kept, Plan, Speech, Stage, Track, Variant
from worker.errors import Cancelled, LeaseLost, QueueUnavailable, Yielded
from worker.pipeline.engine_thread import EngineThread, Visit
from worker.pipeline.equipment import Equipment
from worker.pipeline.finishing import Finishing
from worker.pipeline.kept import fetch_kept, part_of
from worker.pipeline.listen import Listening
from worker.pipeline.plan import for_speech, planned, unmet
from worker.pipeline.preview_job import preview
from worker.pipeline.video import fetch_video, public_url
from worker.ports import Engine
from worker.timings import Timings
from worker.together import together

Asked = Callable[[], bool]
MAKES_ROOM = 3
"""How often a batch job hands itself back for interactive work; then it composes, or it would never be made while there is always some."""


async def generate(
    job: Job, folder: Path, timings: Timings, has: Equipment, *, stopped: Asked, draining: Asked
) -> None:
    """Raises what `Pipeline.run` raises."""
    if has.rack is None:
        raise Yielded("this worker has no engine")
    timings.engine = has.rack.label(has.rack.taken_for(job.engine))
    async with AsyncExitStack() as stack:
        with has.wanting():
            await has.queue.set_stage(job.lease, Stage.FETCHING, timings.engine)
            with timings.of("fetch"):
                file, kept = await together(fetch_video(job, has.fetcher, folder), _kept(job, has, folder))
            async with has.rack.held(job.engine) as engine:
                going = GenerateJob(
                    has=has, job=job, folder=folder, timings=timings, thread=has.rack.thread, engine=engine,
                    file=file, kept=kept, stopped=stopped, draining=draining,
                )  # fmt: skip
                made_beside = await going.music(stack)
        await made_beside()


async def _kept(job: Job, has: Equipment, folder: Path) -> Kept | None:
    mending = job.options.mend
    return await fetch_kept(mending, has.fetcher, has.mender, folder) if mending else None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateJob:
    """One job while it wants its engine."""

    has: Equipment
    job: Job
    folder: Path
    timings: Timings
    thread: EngineThread
    engine: Engine
    file: Path
    """The film."""
    kept: Kept | None
    """The track of which a part is to be made anew."""
    stopped: Asked
    draining: Asked

    async def music(self, stack: AsyncExitStack) -> Callable[[], Coroutine[Any, Any, None]]:
        """All that the job wants its engine for; answers what waits for the rest, which goes on until `stack` is left."""
        job, queue, timings = self.job, self.has.queue, self.timings
        async with aclosing(self.has.looker.look(self.file, job.options.duration_s, self.engine.frames)) as looks:
            with timings.of("look"):
                first = await anext(looks)
                assert isinstance(first, Clip)
            known = await queue.known_speech(job.lease)
            first = replace(first, speech=known.spans if known else ())
            listening, end = await stack.enter_async_context(self._beside(first, known))

            await queue.set_stage(job.lease, Stage.DESCRIBING)
            with timings.of("describe"):
                plan, clip = await together(self._plan(first), self._seen(first, looks))

        if late := unmet(plan, clip.duration_s):
            await queue.note(job.lease, late)
        await queue.set_stage(job.lease, Stage.COMPOSING)
        clip = replace(clip, speech=listening.spans)  # as far as it was heard: no track waits for the ear
        missing = [
            replace(variant, direction=for_speech(variant.direction, self.has.fit))
            if clip.is_mostly_speech and not job.asked_plan
            else variant
            for variant in plan.variants
            if variant.index not in job.done
        ]
        with timings.of("compose"):
            await self._compose(clip, plan, missing)
        return end

    @asynccontextmanager
    async def _beside(
        self, clip: Clip, known: Speech | None
    ) -> AsyncIterator[tuple[Listening, Callable[[], Coroutine[Any, Any, None]]]]:
        """Meanwhile the film is heard and its preview is made. What is yielded waits for both, in nobody's way; leaving stops them."""
        has = self.has
        previewing = asyncio.create_task(preview(self.job, clip, self.timings, has.queue, has.previewer, has.storage))

        async def end() -> None:
            has.beside += 1
            try:
                has.freed()
                await listening.end()
                await previewing
            finally:
                has.beside -= 1

        try:
            async with Listening(
                job=self.job, file=self.file, queue=has.queue, ear=has.ear, timings=self.timings,
                patience=has.listens_on, known=known,
            ) as listening:  # fmt: skip
                yield listening, end
        finally:
            previewing.cancel()
            await asyncio.gather(previewing, return_exceptions=True)

    async def _plan(self, clip: Clip) -> Plan:
        job, has = self.job, self.has
        if job.plan is not None:
            return job.plan
        proposed: tuple[Hit, ...] = ()
        with self.timings.of("plan"):
            if job.asked_plan:
                directions = tuple(replace(d, prompt=has.fit(d.prompt)) for d in job.asked_plan)
                describer = "user"
            else:
                directions, describer, proposed = await has.describer.describe(
                    clip, job.user_request, job.total_count, public_url(job)
                )
            return await has.queue.save_plan(job.lease, planned(directions, describer, job.options, proposed))

    async def _seen(self, clip: Clip, looks: AsyncGenerator[Clip | Frames]) -> Clip:
        """The clip as the engine gets it, while the describer thinks. The engine is asked for its turn once for every stretch of
        the film, when that is there: in between it composes for those who are ready."""
        visit = Visit(self.thread, self.stopped)

        async def watching(step: Callable[[], None]) -> None:
            async with self.has.turn.taken(composing=False):
                await visit.do(step)

        try:
            with self.timings.of("prepare"):
                prepare = partial(self.engine.prepare, clip, self.job.options, visit.over)
                viewer = await visit.do(prepare, beside=True)
                if viewer is None and self.engine.frames is not None:
                    await looks.aclose()
                while True:
                    with self.timings.timed("frames"):
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

    async def _compose(self, clip: Clip, plan: Plan, missing: list[Variant]) -> None:
        """Each track is mastered, uploaded and written while the engine makes the next. One that fails does not take its siblings
        along, but for one that shows that the job is not ours any more: then the engine stops at its next step."""
        finish = Finishing(
            has=self.has, job=self.job, folder=self.folder, timings=self.timings, engine=self.engine, plan=plan, kept=self.kept,
            duration_s=clip.duration_s, scenes=() if clip.glanced else clip.scenes,
        )  # fmt: skip
        finishing: list[asyncio.Task[None]] = []
        visit = Visit(self.thread, self.stopped)

        def finished(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and isinstance(task.exception(), LeaseLost | Cancelled):
                visit.leave()

        broke: BaseException | None = None
        try:
            async with self._composed(clip, plan, missing, visit) as tracks:
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

    @asynccontextmanager
    async def _composed(
        self, clip: Clip, plan: Plan, variants: list[Variant], visit: Visit
    ) -> AsyncIterator[AsyncIterator[Track]]:
        """The engine's tracks, each pulled on the engine's own thread; one job at a time has the engine.

        Raises Yielded where somebody else should have it first: before it has begun, since what it has begun it makes for all variants at once.
        """

        async def pull(tracks: Iterator[Track]) -> AsyncIterator[Track]:
            while (track := await visit.do(partial(next, tracks, None))) is not None:
                yield track

        async with self.has.turn.taken(composing=True):
            if reason := await self._room_needed():
                raise Yielded(reason)
            tracks = await visit.do(partial(self._begun, clip, plan, variants, visit.over))
            try:
                yield pull(tracks)
            finally:
                visit.leave()
                if (close := getattr(tracks, "close", None)) is not None and not self.thread.hangs:
                    await visit.do(close)

    def _begun(self, clip: Clip, plan: Plan, variants: list[Variant], over: Asked) -> Iterator[Track]:
        options, mending = replace(self.job.options, hits=plan.hits, segments=plan.segments), self.job.options.mend
        if self.kept is None or mending is None:
            return self.engine.compose(clip, variants, options, over)
        part = part_of(self.kept, mending)
        return (self.engine.mend(clip, variant, part, options, over) for variant in variants)

    async def _room_needed(self) -> str | None:
        """Why this job should hand itself back before it is composed, or None."""
        if self.draining():
            return "the worker drains"
        if self.job.lane == "batch" and self.job.lease.attempt <= MAKES_ROOM:
            with suppress(QueueUnavailable):  # nobody is served by throwing away what is prepared
                return "interactive work waits" if await self.has.queue.interactive_waiting() else None
        return None
