"""`rhythmai demo`: the main job from one end to the other, on this machine."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rhythmai.commands.arguments import Data
from rhythmai.commands.jobs import is_url
from rhythmai.commands.running import command
from rhythmai.commands.tracks import make_room, save

if TYPE_CHECKING:
    from uuid import UUID

    from rhythmai.client import Client
    from rhythmai.local.home import Running
    from rhythmai.screen import Screen

OURS: Final = (
    *(f"track-{number}.{kind}" for number in range(1, 9) for kind in ("flac", "wav", "mp3", "m4a")),
    "merged.mp4",
    "job.json",
)
"""What a demo leaves in its folder: nothing else there is touched by the next one."""


@command
async def demo(
    video: Annotated[str | None, typer.Argument(help="A path or a URL; without one, a sample is made.")] = None,
    request: Annotated[str, typer.Option(help="What the music should be like.")] = "",
    output: Annotated[Path, typer.Option(help="Where tracks, video and answer are saved.")] = Path("output"),
    data: Data = None,
) -> None:
    """Make music for a video, on a local stack of its own."""
    from rhythmai.connection import client_of
    from rhythmai.local.stack import default_data
    from rhythmai.screen import Screen
    from rhythmai.transfer import video_type

    began = time.monotonic()
    if video is not None and not is_url(video):
        video_type(Path(video))  # refused before anything is started
    await asyncio.to_thread(make_room, output)
    with Screen() as screen:
        async with AsyncExitStack() as down:
            sample = None if video else asyncio.create_task(asyncio.to_thread(_sample, output / "sample.mp4"))
            running = await _stack(down, data or default_data("demo"), screen)
            client = await down.enter_async_context(client_of(running))
            url = await sample if sample else video or ""
            if not is_url(url):
                url = await client.upload(Path(url), screen.transfer(f"uploading {url}"), say=screen.say)
            job_id = await client.submit(url, request)
            # Only now: a demo that cannot begin leaves the tracks of the one before, and takes any of them as its video.
            await asyncio.to_thread(_clear, output)
            await _make_music(client, job_id, screen)
            saved = await _save(client, url, job_id, output, screen)
            screen.rest()
            screen.say(f"Done in {time.monotonic() - began:.1f} s.", "bold green")
            for file in ([output / "sample.mp4"] if video is None else []) + saved:
                screen.say(f"  {file}")
            if sys.stdout.isatty():
                screen.say(f"Listen: {running.url}/#job={job_id}  (Ctrl-C stops)", "bold green")
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
            screen.doing("tidying up")


def _clear(output: Path) -> None:
    """What an earlier demo made would pass for the work of one that fails."""
    for name in OURS:
        (output / name).unlink(missing_ok=True)


def _sample(path: Path) -> str:
    from rhythmai.sample import make_sample

    make_sample(path)
    return str(path)


async def _stack(down: AsyncExitStack, data: Path, screen: Screen) -> Running:
    """The stack that runs on that data, or one of our own, which ends with us."""
    from rhythmai.local.home import Home
    from rhythmai.local.postgres import free_port
    from rhythmai.local.stack import DB_PORT, PORT, local_stack, port_is_free

    if running := Home(data).running():
        screen.say(f"Using the local stack that runs on {running.url}.")
        return running
    screen.doing("starting the local stack")
    port, db_port = (number if port_is_free(number) else free_port() for number in (PORT, DB_PORT))
    running = await down.enter_async_context(local_stack(data, port=port, db_port=db_port))
    screen.say(f"A local stack runs on {running.url} (logs: {Home(data).logs}).")
    return running


async def _make_music(client: Client, job_id: UUID, screen: Screen) -> None:
    from rhythmai.errors import JobFailed
    from rhythmai.events import JobChanged

    screen.say(f"Job {job_id}")
    async for event in client.watch(job_id, trouble=screen.trouble):
        if isinstance(event, JobChanged) and event.ended and event.status != "completed":
            raise JobFailed(f"There is no music, the job is {event.status}: {event.error or 'somebody cancelled it'}")
        screen.event(event)


async def _save(client: Client, video_url: str, job_id: UUID, output: Path, screen: Screen) -> list[Path]:
    """Download all tracks, merge the first with the video, keep the answer; return the files."""
    from rhythmai.answers import Job, Result

    answer = await client.answer(job_id)
    tracks = [result for result in Job.model_validate(answer).results if result.audio_url]

    async def merged() -> list[Path]:
        url = await client.merge(video_url, str(tracks[0].audio_url))
        return await save(client, [Result(index=0, video_url=url)], output, screen)

    def save_answer() -> Path:
        (output / "job.json").write_text(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
        return output / "job.json"

    screen.doing("putting the first track under the video")
    saved, film = await asyncio.gather(save(client, tracks, output, screen), merged())
    return [*saved, *film, await asyncio.to_thread(save_answer)]
