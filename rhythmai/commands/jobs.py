"""A job from the shell, over API_URL: `rhythmai submit`, `watch`, `again`, `cancel` and `delete`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import typer

from rhythmai.commands.arguments import Data, JobId, JobIds, Track, pairs_of
from rhythmai.commands.hints import goes_on, hint
from rhythmai.commands.moments import Hits, Segments, hits_of, segments_of
from rhythmai.commands.operators import each, over_database
from rhythmai.commands.running import command
from rhythmai.table import Json

if TYPE_CHECKING:
    from rhythmai.client import Client

_VIDEO = typer.Argument(
    metavar="VIDEO",
    help="A path, which is uploaded, or a URL, which is passed on; with a server's key also storage://bucket/path.",
)
Video = Annotated[str, _VIDEO]
Seed = Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="The same seed makes the same music.")]
Engine = Annotated[
    Literal["auto", "mmaudio", "acestep", "sketch"] | None,
    typer.Option(help="What composes; auto: whatever the next worker puts first."),
]
Stay = Annotated[bool, typer.Option("--watch", help="Stay and watch the job.")]


@command
async def submit(
    context: typer.Context,
    video: Annotated[str | None, _VIDEO] = None,
    request: Annotated[str, typer.Option(help="What the music should be like.")] = "",
    variants: Annotated[int | None, typer.Option(min=1, max=8, help="How many tracks (default: 3).")] = None,
    seed: Seed = None,
    duration: Annotated[float | None, typer.Option(min=0.64, help="Only so many seconds of the video.")] = None,
    engine: Engine = None,
    format_: Annotated[
        Literal["flac", "wav", "mp3", "m4a"] | None, typer.Option("--format", help="Of the tracks (default: flac).")
    ] = None,
    loudness: Annotated[
        float | None, typer.Option(min=-30, max=-9, help="Of the tracks, in LUFS (default: -14; -23 for broadcast).")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="Directions of your own: a JSON or YAML list, a track for each.")
    ] = None,
    brief: Annotated[
        Path | None,
        typer.Option(
            help="A brief that `rhythmai brief --json` wrote, perhaps edited: its directions, moments and seed, and its film where no VIDEO is given."
        ),
    ] = None,
    hit: Hits = None,
    segment: Segments = None,
    loop: Annotated[
        bool, typer.Option("--loop", help="Tracks whose end meets their beginning (flac and wav).")
    ] = False,
    negative_prompt: Annotated[str | None, typer.Option(help="What should not be heard.")] = None,
    conditioning: Annotated[
        Literal["full", "text+clip", "text"] | None, typer.Option(help="How far MMAudio follows the picture.")
    ] = None,
    callback_url: Annotated[str | None, typer.Option(help="Where the answer is posted when the job ends.")] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(
            help="What callback_url hears of: job.completed, job.failed, job.cancelled, result.ready; may be repeated "
            "(default: the ends)."
        ),
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A pair that answers and webhooks bring back; may be repeated."),
    ] = None,
    watch: Stay = False,
    data: Data = None,
) -> None:
    """Ask for music; prints the id of the job."""
    from rhythmai.commands.plan import read_brief, read_plan
    from rhythmai.connection import connect
    from rhythmai.errors import BadInput

    if plan and brief:
        raise BadInput("--plan and --brief both hold directions: leave one out")
    asked: dict[str, Any] = read_brief(brief) if brief else {"plan": read_plan(plan)} if plan else {}
    film = asked.pop("video_url", None)
    if seed is not None:
        asked["seed"] = seed
    if hit:
        asked["hits"] = hits_of(hit)
    segments, pairs = segments_of(segment or []), pairs_of(metadata or [])
    if not (video or film):
        context.fail("VIDEO is missing: name the film")
    async with connect(data) as client:
        job_id = await client.submit(
            await address(client, video) if video else str(film), request, variants=variants, duration=duration, engine=engine,
            format=format_, loudness_lufs=loudness, segments=segments or None, loop=loop or None,
            negative_prompt=negative_prompt, conditioning=conditioning, callback_url=callback_url,
            events=event or None, metadata=pairs or None, **asked,
        )  # fmt: skip
    await _made(job_id, watch, data)


@command
async def again(
    job_id: JobId,
    seed: Seed = None,
    track: Track = None,
    engine: Engine = None,
    start: Annotated[
        float | None, typer.Option(min=0, help="With --end: only the part from here on is played anew, in seconds.")
    ] = None,
    end: Annotated[float | None, typer.Option(min=0, help="Where that part ends.")] = None,
    watch: Stay = False,
    data: Data = None,
) -> None:
    """Ask for another take of a job, of one of its tracks, or of a part of that; prints the id of the new job."""
    from rhythmai.connection import connect
    from rhythmai.errors import BadInput

    _check_part(start, end)
    async with connect(data) as client:
        if start is not None and track is None and (count := (await client.job(job_id)).total_count) > 1:
            raise BadInput(
                f"--start {start:g} --end {end:g} is a part of one track, and there are {count}: name it with --track"
            )
        made = await client.again(
            job_id, seed=seed, variant=track - 1 if track else None, engine=engine, start=start, end=end
        )
    await _made(made, watch, data)


@command
async def watch(job_id: JobId, data: Data = None) -> None:
    """Watch a job live until it ends.

    The exit code is 1 when it was not completed. Ctrl-C ends the watching, not the job.
    """
    await _watch(job_id, data)


@command
async def cancel(
    job_ids: JobIds,
    any_owner: Annotated[
        bool, typer.Option("--any-owner", help="As an operator, over DATABASE_URL: whoever owns them.")
    ] = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Take jobs back, also while they run."""
    from rhythmai.connection import connect

    if any_owner:
        call = "select queue.cancel(j.id, j.owner) from public.jobs j where j.id = $1"
        await over_database("cancelling", call, job_ids, as_json, data)
        return
    async with connect(data) as client:

        async def one(job_id: UUID) -> dict[str, Any]:
            return (await client.cancel(job_id)).model_dump()

        await each("cancelling", one, job_ids, as_json)


@command
async def delete(job_ids: JobIds, as_json: Json = False, data: Data = None) -> None:
    """Have jobs gone, with all their files; what runs is cancelled first."""
    from rhythmai.connection import connect

    async with connect(data) as client:

        async def one(job_id: UUID) -> dict[str, Any]:
            return (await client.delete(job_id)).model_dump()

        await each("deleting", one, job_ids, as_json)


async def address(client: Client, video: str) -> str:
    """The URL of a video; a file is uploaded first. Raises BadInput."""
    from rhythmai.screen import Screen
    from rhythmai.transfer import is_address

    if is_address(video):
        return video
    with Screen(stderr=True) as screen:
        return await client.upload(Path(video), screen.transfer(f"uploading {video}"), say=screen.say)


def is_url(video: str) -> bool:
    return video.lower().startswith(("http://", "https://"))


def _check_part(start: float | None, end: float | None) -> None:
    """Raises BadInput."""
    from rhythmai.errors import BadInput

    if (start is None) != (end is None):
        given, missing = (f"--start {start:g}", "--end") if end is None else (f"--end {end:g}", "--start")
        raise BadInput(f"{given} without {missing}: name both ends of the part, like --start 4 --end 8")
    if start is not None and end is not None and start >= end:
        raise BadInput(f"--start {start:g} --end {end:g}: the part ends where it begins, or before; name a later --end")


async def _made(job_id: UUID, stay: bool, data: Path | None) -> None:
    print(job_id, flush=True)
    if stay:
        await _watch(job_id, data)
    else:
        hint(data, {"Watch it": f"watch {job_id}", "Save it": f"download {job_id}", "Take it back": f"cancel {job_id}"})


async def _watch(job_id: UUID, data: Path | None) -> None:
    from rhythmai.connection import connect
    from rhythmai.events import JobChanged
    from rhythmai.screen import Screen

    async with connect(data) as client:
        with goes_on(job_id, data), Screen() as screen:
            async for event in client.watch(job_id, trouble=screen.trouble):
                screen.event(event)
            if isinstance(event, JobChanged):
                for note in (await client.job(job_id)).notes:
                    screen.say(f"  {note}", "yellow", hang=2)
    if not (isinstance(event, JobChanged) and event.status == "completed"):
        raise typer.Exit(1)
    hint(data, {"Save it": f"download {job_id}"} if event.total_count else {"Read it": f"brief {job_id}"})
