"""ChildLooker: what a video is, how it looks, and the frames an engine wants of it, found out by the decoder in a child process."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import asdict, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from worker.domain import Clip, Frames, Scene, Still, View
from worker.pipeline.look.answers import Answer, Seen
from worker.pipeline.look.child import NICE, Limits, run_child
from worker.pipeline.look.shown_scenes import ShownScenes
from worker.pipeline.look.telling import Teller, told
from worker.pipeline.look.warm_process import DECODER
from worker.together import together

MAX_DURATION_S = 180.0
FOLLOWING = timedelta(minutes=20)
"""Of the processor, for every frame of a long film, or all that is said in it."""
_WAITING = timedelta(days=1)
"""How long a child may live: how long it may say nothing is counted while it is listened to, and so not while it waits for the engine."""

Task = Literal["look", "glance", "follow", "measure", "listen", "hear"]
AnswerT = TypeVar("AnswerT", bound=Answer)


class ChildLooker:
    """Implements `Looker`. Whoever asks for views has `WARM.need("worker.pipeline.look.showing")` said before."""

    def __init__(
        self,
        *,
        max_duration_s: float = MAX_DURATION_S,
        limits: Limits | None = None,
    ) -> None:
        self._max_duration_s = max_duration_s
        self._limits = limits or Limits()

    async def look(
        self, path: Path, duration_s: float | None, views: tuple[View, ...] | None = None
    ) -> AsyncGenerator[Clip | Frames]:
        """Probe and watch a video file; with `duration_s` only its first seconds count, and it may be longer than the limit.

        A demanding one is seen by its key frames first. It is decoded again for what the engine needs, as is one whose frames are
        too many to be kept; all others are decoded once. Without `views` the engine goes by scenes, for which a look at key frames
        alone is not enough in the end.
        A longer look leaves the stills as they are; where the engine was shown the film its scenes come behind the frames.
        Raises Rejected (empty_file, not_a_video, no_video_stream, too_long, too_many_pixels, broken_video) or
        Unavailable (timeout, child_killed).
        """
        async with self._child("glance", path, duration_s, views) as child:
            (seen, jpegs), digest = await together(child.answer(Seen), asyncio.to_thread(_sha256, path))
            clip = Clip(
                path=path,
                digest=digest,
                duration_s=seen.duration_s,
                width=seen.width,
                height=seen.height,
                fps=seen.fps,
                has_audio=seen.has_audio,
                glanced=seen.glanced,
                scenes=_scenes(seen),
                stills=tuple(Still(time_s=at_s, jpeg=jpeg) for (at_s, _), jpeg in zip(seen.stills, jpegs, strict=True)),
            )
            yield clip
            if views and seen.kept:
                async with aclosing(child.frames(views, clip.duration_s)) as stretches:
                    async for frames in stretches:
                        yield frames
                return
        if views:
            async with (
                self._child("follow", path, duration_s, views) as child,
                aclosing(child.frames(views, clip.duration_s)) as stretches,
            ):
                spotted = ShownScenes(views) if seen.glanced else None
                async for frames in stretches:
                    if spotted:
                        spotted.see(frames)
                    yield frames
            if spotted and (shown := spotted.scenes(clip.duration_s)):
                yield replace(clip, scenes=shown, glanced=False)
        elif seen.glanced:
            async with self._child("look", path, duration_s, views) as child:
                seen, _ = await child.answer(Seen)
            yield replace(clip, duration_s=seen.duration_s, scenes=_scenes(seen), glanced=False)

    def _child(
        self, task: Task, path: Path, duration_s: float | None, views: tuple[View, ...] | None
    ) -> AbstractAsyncContextManager[Teller]:
        return decoding(task, path, self._max_duration_s, duration_s, views=views or (), limits=self._limits)


def _scenes(seen: Seen) -> tuple[Scene, ...]:
    return tuple(Scene(**scene.model_dump()) for scene in seen.scenes)


async def ask_decoder(
    task: Literal["measure", "listen"], path: Path, max_duration_s: float, *, expect: type[AnswerT], limits: Limits
) -> tuple[AnswerT, list[bytes]]:
    """Run the decoder on a file; return its checked answer and the JPEGs. Raises Rejected, Unavailable."""
    async with decoding(task, path, max_duration_s, None, views=(), limits=limits) as child:
        return await child.answer(expect)


def decoding(
    task: Task, path: Path, max_duration_s: float, asked_s: float | None, *, views: tuple[View, ...], limits: Limits
) -> AbstractAsyncContextManager[Teller]:
    """The decoder at work on a file. Nowhere else is a stranger's video opened."""
    path = path.absolute()  # else a name could be an option or an address
    allowed = replace(limits, wall=_WAITING)
    if task in {"follow", "hear"}:
        allowed = replace(allowed, cpu=FOLLOWING)
    if task == "hear":
        allowed = replace(allowed, nice=NICE + 5)
    arguments = [task, str(path), str(max_duration_s), "all" if asked_s is None else str(asked_s)]
    arguments.append(json.dumps([asdict(view) for view in views]))
    run = partial(
        run_child,
        arguments,
        allowed,
        task="Reading the file",
        module=DECODER,
        reads=[path],
    )
    return told(lambda out: run(out=out), patience=limits.wall, most_bytes=limits.output_bytes)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
