"""The way of a brief: look at the film to its last frame, hear it, and have it described; no note is played.

What it tells is what `gen` takes: music that is made of it is the same every time.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from worker.domain import Clip, Direction, Job, Plan, Scene, Span, Stage
from worker.pipeline.equipment import Equipment
from worker.pipeline.listen import speech_of
from worker.pipeline.plan import for_speech, planned
from worker.pipeline.video import fetch_video, looked_at, public_url
from worker.ports import Looker
from worker.timings import Timings
from worker.together import together

VARIANTS = 3
"""As many directions as `gen` makes tracks where nobody says how many."""


async def brief(job: Job, folder: Path, timings: Timings, has: Equipment) -> None:
    """Raises what `Pipeline.run` raises."""
    await has.queue.set_stage(job.lease, Stage.FETCHING)
    with timings.of("fetch"):
        file = await fetch_video(job, has.fetcher, folder)
    # The director is to know where somebody speaks, so all of the film is heard first.
    clip, speech = await together(
        _looked_at(has.looker, file, job.options.duration_s, timings),
        speech_of(job, file, timings, has.queue, has.ear),
    )
    clip = replace(clip, speech=tuple(speech))
    await has.queue.set_stage(job.lease, Stage.DESCRIBING)
    with timings.of("describe"):
        directions, describer, hits = await has.describer.describe(
            clip, job.user_request, job.options.variants or VARIANTS, public_url(job)
        )
    if clip.is_mostly_speech:
        directions = tuple(for_speech(direction, has.fit) for direction in directions)
    await has.queue.put_brief(job.lease, told(clip, planned(directions, describer, job.options, hits)))


async def _looked_at(looker: Looker, file: Path, duration_s: float | None, timings: Timings) -> Clip:
    with timings.of("look"):
        return await looked_at(looker, file, duration_s)


def told(clip: Clip, plan: Plan) -> dict[str, Any]:
    """A brief as the contract shows it. What comes back in `gen` has every digit; what is only looked at is rounded."""
    return {
        "duration": _ms(clip.duration_s),
        "scenes": [_scene(scene) for scene in clip.scenes],
        "cuts": [_ms(cut_s) for cut_s in clip.cuts_s],
        "speech": [_span(span, clip.duration_s) for span in clip.speech if span.start_s < clip.duration_s],
        "hits": [{"at": hit.at_s, "kind": hit.kind} for hit in plan.hits],
        "seed": plan.variants[0].seed,
        "directions": [_direction(variant.direction) for variant in plan.variants],
    }


def _ms(seconds: float) -> float:
    return round(seconds, 3)


def _scene(scene: Scene) -> dict[str, float]:
    levels = {name: _ms(getattr(scene, name)) for name in ("brightness", "saturation", "warmth", "motion")}
    return {"start": _ms(scene.start_s), "end": _ms(scene.end_s), **levels}


def _span(span: Span, until_s: float) -> dict[str, float]:
    return {"start": _ms(span.start_s), "end": _ms(min(span.end_s, until_s))}


def _direction(direction: Direction) -> dict[str, Any]:
    """As gen's `plan` takes it; a key that the director left open is left out."""
    return {
        "prompt": direction.prompt, "title": direction.title, "description": direction.description, "genre": direction.genre,
        "instruments": list(direction.instruments), "tempo_bpm": direction.tempo_bpm, "mood": direction.mood,
        **({"key": direction.key} if direction.key else {}),
    }  # fmt: skip
