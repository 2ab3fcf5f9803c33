"""`rhythmai submit` and `rhythmai watch`: a job from the shell."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rhythmai.commands.env import Data
from rhythmai.commands.running import run


def is_url(video: str) -> bool:
    return video.lower().startswith(("http://", "https://"))


def submit(
    video: Annotated[str, typer.Argument(help="A path, which is uploaded, or a URL, which is passed on.")],
    request: Annotated[str, typer.Option(help="What the music should be like.")] = "",
    variants: Annotated[int | None, typer.Option(min=1, max=8, help="How many tracks (default: 3).")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay and watch the job.")] = False,
    data: Data = None,
) -> None:
    """Ask for music; prints the id of the job."""
    run(_submit(video, request, variants, watch, data))


def watch(job_id: Annotated[str, typer.Argument(help="What `rhythmai submit` printed.")], data: Data = None) -> None:
    """Watch a job live until it ends.

    The exit code is 1 when it was not completed.
    """
    from uuid import UUID

    from rhythmai.errors import BadInput

    try:
        UUID(job_id)
    except ValueError:
        raise BadInput(f"{job_id} is not the id of a job: `rhythmai submit` prints one") from None
    run(_watch(job_id, data))


async def _submit(video: str, request: str, variants: int | None, watch: bool, data: Path | None) -> None:
    from rhythmai.connection import connect
    from rhythmai.screen import Screen

    async with connect(data) as client:
        if not is_url(video):
            with Screen(stderr=True) as screen:
                video = await client.upload(Path(video), screen.transfer(f"uploading {video}"))
        job_id = await client.submit(video, request, variants=variants)
    print(job_id, flush=True)
    if watch:
        await _watch(str(job_id), data)


async def _watch(job_id: str, data: Path | None) -> None:
    from rhythmai.connection import connect
    from rhythmai.events import JobChanged
    from rhythmai.screen import Screen

    async with connect(data) as client:
        with Screen() as screen:
            async for event in client.watch(job_id, trouble=screen.trouble):
                screen.event(event)
    if not (isinstance(event, JobChanged) and event.status == "completed"):
        raise typer.Exit(1)
