"""What a job made, on this disk: `rhythmai download`, `rhythmai merge` and `rhythmai pack`."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

import typer

from rhythmai.commands.arguments import Data, JobId, Track
from rhythmai.commands.hints import goes_on, hint
from rhythmai.commands.jobs import address, is_url
from rhythmai.commands.running import command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from rhythmai.answers import Job, Result
    from rhythmai.client import Client
    from rhythmai.screen import Screen


@command
async def download(
    job_id: JobId,
    output: Annotated[Path | None, typer.Option(help="The folder (default: music- and the id's beginning).")] = None,
    data: Data = None,
) -> None:
    """Save the tracks of a job, or its merged video; prints their paths."""
    from rhythmai.connection import connect
    from rhythmai.screen import Screen

    async with connect(data) as client:
        job = await client.job(job_id)
        made = _made(job)
        folder = await asyncio.to_thread(make_room, output or Path(f"music-{str(job_id)[:8]}"))
        with Screen(stderr=True) as screen:
            saved = await save(client, made, folder, screen)
    # Only now: while a bar is drawn on stderr, rich has what is printed go there.
    print(*saved, sep="\n")
    if not job.ended:
        hint(data, {"More comes": f"watch {job_id}"}, always=True)


@command
async def merge(
    video: Annotated[
        str, typer.Argument(metavar="JOB|VIDEO", help="The id of a job, whose film is meant, or a path or URL.")
    ],
    track: Track = None,
    audio: Annotated[str | None, typer.Option(help="The URL of other music than a track of the job.")] = None,
    output: Annotated[Path | None, typer.Option(help="The file to save the new video in.")] = None,
    mode: Annotated[
        Literal["replace", "mix"] | None, typer.Option(help="replace leaves the video's own sound out (default).")
    ] = None,
    music_gain_db: Annotated[float | None, typer.Option(min=-60, max=20, help="How much louder the music is.")] = None,
    duck: Annotated[bool | None, typer.Option(help="With mix: quieter music while somebody speaks.")] = None,
    duck_db: Annotated[float | None, typer.Option(min=-60, max=0, help="How much quieter (default: -10).")] = None,
    data: Data = None,
) -> None:
    """Put a track under a video; prints the URL of the new video."""
    from rhythmai.connection import connect
    from rhythmai.screen import Screen

    async with connect(data) as client:
        film, music = await _parts(client, video, track, audio)
        with Screen(stderr=True) as screen:
            screen.doing("putting the music under the video")
            async with _asked(client, screen, data) as made:
                url = await client.merge(
                    film, music, mode=mode, music_gain_db=music_gain_db, duck=duck, duck_db=duck_db, made=made,
                    trouble=screen.trouble,
                )  # fmt: skip
            if output:
                await client.download(url, output, screen.transfer(f"downloading {output}"))
    print(url, *([output] if output else []), sep="\n")


@command
async def pack(
    job_id: JobId,
    track: Track = None,
    into: Annotated[Path | None, typer.Option(help="The folder for the zip (default: this one).")] = None,
    data: Data = None,
) -> None:
    """Save a track with markers, cues and, of the sketch, stems and MIDI, as a zip; prints its path."""
    from rhythmai.connection import connect
    from rhythmai.screen import Screen

    async with connect(data) as client:
        folder = await asyncio.to_thread(make_room, into or Path(), "--into")
        with Screen(stderr=True) as screen:
            screen.doing("packing")
            async with _asked(client, screen, data) as made:
                url = await client.pack(job_id, variant=track - 1 if track else None, made=made, trouble=screen.trouble)
            file = folder / f"music-{str(job_id)[:8]}{f'-{track}' if track else ''}.zip"
            await client.download(url, file, screen.transfer(f"downloading {file}"))
    print(file)


@asynccontextmanager
async def _asked(client: Client, screen: Screen, data: Path | None) -> AsyncIterator[Callable[[UUID], object]]:
    """To be told of a job that is waited for in here: who is interrupted hears that it goes on, and who is not what it has noted."""
    jobs: list[UUID] = []
    with ExitStack() as left:

        def made(job_id: UUID) -> None:
            jobs.append(job_id)
            left.enter_context(goes_on(job_id, data))

        yield made
    for job_id in jobs:
        for note in (await client.job(job_id)).notes:
            screen.say(note)


async def save(client: Client, results: Iterable[Result], folder: Path, screen: Screen) -> list[Path]:
    """Download into the folder; the files are called by the numbers of their tracks."""

    async def one(result: Result) -> Path:
        url = str(result.video_url or result.pack_url or result.audio_url)
        kind = Path(urlsplit(url).path).suffix
        other = "merged" if result.video_url else "pack" if result.pack_url else ""
        name = f"{other or f'track-{result.index + 1}'}{kind}"
        return await client.download(url, folder / name, screen.transfer(f"downloading {name}"))

    return await asyncio.gather(*map(one, results))


def make_room(folder: Path, option: str = "--output") -> Path:
    """Raises BadInput."""
    from rhythmai.errors import BadInput

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder} cannot be written to ({error.strerror}): choose another with {option}") from None
    return folder


def _made(job: Job) -> tuple[Result, ...]:
    """The results of a job that has some. Raises BadInput."""
    from rhythmai.errors import BadInput

    if not job.results and not job.ended:
        raise BadInput(
            f"Job {job.job_id} has no tracks yet, it is {job.status}: `rhythmai watch {job.job_id}` shows them come"
        )
    if not job.results:
        raise BadInput(f"Job {job.job_id} has no tracks, it is {job.status}{f': {job.error}' if job.error else ''}")
    return job.results


async def _parts(client: Client, video: str, track: int | None, audio: str | None) -> tuple[str, str]:
    """The URLs of film and music. Raises BadInput."""
    from rhythmai.errors import BadInput

    if audio and not is_url(audio):
        raise BadInput(f"{audio} is not a URL that starts with http: --audio takes the address of a track")
    if audio and track:
        raise BadInput("--track and --audio both name the music: leave one out")
    try:
        job_id = UUID(video)
    except ValueError:
        if not audio:
            raise BadInput(f"{video} is not the id of a job: name the music with --audio URL") from None
        return await address(client, video), audio
    job = await client.job(job_id)
    if audio:
        return job.video_url, audio
    tracks = {result.index + 1: result.audio_url for result in _made(job) if result.audio_url}
    music = tracks.get(track or min(tracks, default=0))
    if not music:
        which = (
            f"no track {track}: it has {', '.join(map(str, tracks))}" if tracks else f"no tracks, it is a {job.kind}"
        )
        raise BadInput(f"Job {job_id} has {which}")
    return job.video_url, music
