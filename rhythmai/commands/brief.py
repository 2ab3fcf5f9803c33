"""`rhythmai brief`: what is seen and heard in a film, and what would be played; to be read, or edited and played."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from rhythmai.commands.arguments import Data
from rhythmai.commands.hints import goes_on, hint
from rhythmai.commands.jobs import Seed, address
from rhythmai.commands.running import command
from rhythmai.table import Json, plain_text, show_json

if TYPE_CHECKING:
    from rhythmai.answers import Brief


@command
async def brief(
    video: Annotated[
        str,
        typer.Argument(metavar="JOB|VIDEO", help="A path or URL of a film, or the id of a brief that was asked for."),
    ],
    request: Annotated[str, typer.Option(help="What the music should be like.")] = "",
    variants: Annotated[int | None, typer.Option(min=1, max=8, help="How many directions (default: 3).")] = None,
    seed: Seed = None,
    duration: Annotated[float | None, typer.Option(min=0.64, help="Only so many seconds of the video.")] = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Have a film seen, heard and described, without any music; as JSON `rhythmai submit --brief` plays it, edited or not."""
    from rhythmai.connection import connect
    from rhythmai.errors import BadInput, JobFailed
    from rhythmai.events import JobChanged, JobDeleted
    from rhythmai.screen import Screen

    async with connect(data) as client:
        try:
            job_id = UUID(video)
        except ValueError:
            url = await address(client, video)
            job_id = await client.submit_brief(url, request, variants=variants, seed=seed, duration=duration)
        with goes_on(job_id, data), Screen(stderr=True) as screen:
            async for event in client.watch(job_id, trouble=screen.trouble):
                if isinstance(event, JobDeleted):
                    raise JobFailed("The brief was deleted")
                if isinstance(event, JobChanged) and not event.ended:
                    screen.event(event)
        job = await client.job(job_id)
    if job.kind != "brief":
        raise BadInput(f"Job {job_id} is no brief: `rhythmai brief VIDEO` makes one")
    if job.brief is None:
        raise JobFailed(f"The brief {f'failed: {job.error}' if job.error else f'was {job.status}'}")
    for note in job.notes:
        typer.echo(f"  {plain_text(note)}", err=True)
    if as_json:
        show_json({"video_url": job.video_url, **job.brief.model_dump(mode="json", exclude_none=True)})
    else:
        print(*(f"{name:9} {plain_text(told)}" for name, told in lines(job.brief)), sep="\n")
        hint(data, {"Keep it": f"brief {job_id} --json > brief.json", "Play it": "submit --brief brief.json"})


def lines(brief: Brief) -> Iterator[tuple[str, str]]:
    """What is told to people, by its name."""
    yield "film", f"{brief.duration:.1f} s"
    yield "cuts", _listed(f"{at:.2f}" for at in brief.cuts)
    yield "speech", _listed(f"{span.start:.1f}-{span.end:.1f}" for span in brief.speech)
    yield "hits", _listed(f"{hit.at:.2f} {hit.kind}" for hit in brief.hits)
    yield "motion", _listed(f"{scene.start:.1f} {_level(scene.motion)}" for scene in brief.scenes)
    yield "seed", str(brief.seed)
    for number, direction in enumerate(brief.directions, 1):
        tempo = f"{direction.tempo_bpm:g} bpm" if direction.tempo_bpm else ""
        facts = ", ".join(filter(None, (direction.genre, direction.mood, direction.key, tempo)))
        yield f"{number}.", (direction.title or f"Direction {number}") + (f" ({facts})" if facts else "")
        for told in filter(None, (", ".join(direction.instruments), direction.description, direction.prompt)):
            yield "", told


def _listed(parts: Iterator[str]) -> str:
    return ", ".join(parts) or "none"


def _level(motion: float) -> str:
    """Of 0 to 1, in a word."""
    return ("still", "calm", "lively", "wild")[min(3, math.floor(motion * 4))]
