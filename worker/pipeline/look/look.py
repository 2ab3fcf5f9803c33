"""ChildLooker: what a video is and how it looks, found out by the decoder in a child process."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from worker.domain import Clip, Scene, Still
from worker.errors import Rejected, Unavailable
from worker.pipeline.look.answers import Answer, Refusal, Seen
from worker.pipeline.look.child import Limits, run_child
from worker.pipeline.look.warm_process import DECODER
from worker.together import together

MAX_DURATION_S = 180.0

AnswerT = TypeVar("AnswerT", bound=Answer)


class ChildLooker:
    """Implements `Looker`. `scenes`: whether they matter to the frame, so that a look at key frames alone is not enough in the end."""

    def __init__(
        self, *, max_duration_s: float = MAX_DURATION_S, limits: Limits | None = None, scenes: bool = True
    ) -> None:
        self._max_duration_s = max_duration_s
        self._limits = limits or Limits()
        self._scenes = scenes

    async def look(self, path: Path, duration_s: float | None) -> AsyncGenerator[Clip]:
        """Probe and watch a video file; with `duration_s` only its first seconds count, and it may be longer than the limit.

        A demanding one is seen by its key frames first. A longer look leaves the stills as they are.
        Raises Rejected (empty_file, not_a_video, no_video_stream, too_long, too_many_pixels, broken_video) or
        Unavailable (timeout, child_killed).
        """
        asked = () if duration_s is None else (duration_s,)
        (seen, jpegs), digest = await together(self._ask("glance", path, *asked), asyncio.to_thread(_sha256, path))
        clip = Clip(
            path=path,
            digest=digest,
            duration_s=seen.duration_s,
            width=seen.width,
            height=seen.height,
            fps=seen.fps,
            has_audio=seen.has_audio,
            scenes=_scenes(seen),
            stills=tuple(Still(time_s=at_s, jpeg=jpeg) for (at_s, _), jpeg in zip(seen.stills, jpegs, strict=True)),
        )
        yield clip
        if seen.glanced and self._scenes:
            seen, _ = await self._ask("look", path, *asked)
            yield replace(clip, duration_s=seen.duration_s, scenes=_scenes(seen))

    async def _ask(self, task: Literal["look", "glance"], path: Path, *asked: float) -> tuple[Seen, list[bytes]]:
        return await ask_decoder(task, path, self._max_duration_s, *asked, expect=Seen, limits=self._limits)


def _scenes(seen: Seen) -> tuple[Scene, ...]:
    return tuple(Scene(**scene.model_dump()) for scene in seen.scenes)


async def ask_decoder(
    task: Literal["look", "glance", "measure", "listen"],
    path: Path,
    *numbers: float,
    expect: type[AnswerT],
    limits: Limits,
) -> tuple[AnswerT, list[bytes]]:
    """Run the decoder on a file; return its checked answer and the JPEGs. Raises Rejected, Unavailable."""
    path = path.absolute()  # noqa: ASYNC240  # asks nobody; else a name could be an option or an address
    arguments = [task, str(path), *map(str, numbers)]
    ended = await run_child(arguments, limits, task="Reading the file", module=DECODER, reads=[path])
    if ended.code != 0:
        why = ended.complaints.strip().rpartition("\n")[2]
        raise Unavailable(f"The decoder failed ({why}); try again later", code="decoder_failed")
    line, _, rest = ended.output.partition(b"\n")
    try:
        answer = expect.model_validate_json(line)
    except ValidationError:
        raise _refusal(line) from None
    ends = list(accumulate((length for _, length in answer.stills), initial=0))
    if ends[-1] != len(rest):
        raise _nonsense()
    return answer, [rest[start:end] for start, end in pairwise(ends)]


def _refusal(line: bytes) -> Rejected:
    try:
        refusal = Refusal.model_validate_json(line)
    except ValidationError:
        return _nonsense()
    return Rejected(refusal.message, code=refusal.code)


def _nonsense() -> Rejected:
    return Rejected(
        "The video cannot be read: what was found in it makes no sense; export it again", code="broken_video"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
