"""The tools of the MCP server. Built on `rhythmai.Client`; what they save lies under one folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from rhythmai.answers import Hit, Job, Result
from rhythmai.client import Client
from rhythmai.errors import BadInput, JobFailed, RhythmAIError
from rhythmai.events import ResultReady
from rhythmai.mcp.folder import Folder
from rhythmai.mcp.progress import Progress, telling
from rhythmai.mcp.told import Told
from rhythmai.transfer import is_address

JobId = Annotated[str, Field(description="The id of a job, as score_video answered it.")]
Video = Annotated[str, Field(description="The path of a video in the folder, or its http(s) address.")]
Seed = Annotated[int | None, Field(ge=0, le=2**32 - 1, description="The same seed makes the same music.")]
Engine = Annotated[
    Literal["auto", "mmaudio", "acestep", "sketch"] | None,
    Field(description="What composes; when left out, whatever the next worker puts first, or composed the old job."),
]
Wait = Annotated[
    bool, Field(description="Wait for the end and save what is made; else answer at once, and ask `job` later.")
]
INSTRUCTIONS = """\
Makes background music for videos. score_video takes a video and makes several different tracks; merge puts one of them under
the film. Videos are read from and music is saved in the folder {folder}; nothing else is touched, no file is overwritten.
A track takes from seconds to minutes. Where calls may not take long, use wait=false and ask `job` until it is completed."""


def make_server(folder: Folder, connect: Callable[[], Client]) -> MCPServer[Any]:
    """`connect` makes the client of a call: a stack that was started again is found again."""
    server = MCPServer[Any](
        "rhythmai",
        version=version("rhythmai"),
        instructions=INSTRUCTIONS.format(folder=folder.path),
        log_level="WARNING",
    )
    tools = Tools(folder=folder, connect=connect)
    for tool in (tools.score_video, tools.job, tools.again, tools.merge, tools.cancel):
        server.add_tool(tool)
    return server


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """One method a tool: its signature and docstring are what the assistant reads. What goes wrong is a ToolError in words."""

    folder: Folder
    connect: Callable[[], Client]

    async def score_video(
        self,
        context: Context[Any, Any],
        video: Video,
        prompt: Annotated[str, Field(description="What the music should be like, if there is a wish.")] = "",
        tracks: Annotated[int, Field(ge=1, le=8, description="How many different tracks.")] = 3,
        seed: Seed = None,
        duration: Annotated[float | None, Field(ge=0.64, description="Only so many seconds of the video.")] = None,
        audio_format: Annotated[Literal["flac", "wav", "mp3", "m4a"], Field(description="Of the files.")] = "flac",
        engine: Engine = None,
        hits: Annotated[
            list[Hit] | None,
            Field(description="Moments that the music meets; [] none, when left out what the picture asks for."),
        ] = None,
        wait: Wait = True,
    ) -> Told:
        """Make background music for a video: several different tracks, saved as files."""
        async with self._call(context) as (client, progress):
            url = await self._address(client, video, progress)
            made = await client.submit(
                url, prompt, variants=tracks, seed=seed, duration=duration, format=audio_format, engine=engine,
                hits=None if hits is None else [hit.model_dump() for hit in hits],
            )  # fmt: skip
            return await self._end(client, made, progress, wait)

    async def job(self, context: Context[Any, Any], job_id: JobId) -> Told:
        """Tell where a job stands, and save what is ready."""
        async with self._call(context) as (client, _):
            return await self._saved(client, await client.job(job_id), {})

    async def again(
        self,
        context: Context[Any, Any],
        job_id: JobId,
        track: Annotated[
            int | None, Field(ge=1, le=8, description="Only this track; all of them when left out.")
        ] = None,
        seed: Seed = None,
        engine: Engine = None,
        start: Annotated[
            float | None,
            Field(ge=0, description="With `end` and `track`: only the part from here on is new, in seconds."),
        ] = None,
        end: Annotated[float | None, Field(ge=0, description="Where that part ends.")] = None,
        wait: Wait = True,
    ) -> Told:
        """Make another take of a job, of one of its tracks, or of a part of that, with the same musical directions, as a job of its own."""
        async with self._call(context) as (client, progress):
            variant = track - 1 if track else None
            made = await client.again(job_id, seed=seed, variant=variant, engine=engine, start=start, end=end)
            return await self._end(client, made, progress, wait)

    async def merge(
        self,
        context: Context[Any, Any],
        job_id: JobId,
        track: Annotated[int, Field(ge=1, le=8, description="Which track of the job.")] = 1,
        video: Annotated[
            str | None, Field(description="Another film than the job's: a path in the folder, or a URL.")
        ] = None,
        mode: Annotated[
            Literal["replace", "mix"], Field(description="`mix` keeps the film's own sound, `replace` leaves it out.")
        ] = "replace",
        music_gain_db: Annotated[
            float | None, Field(ge=-60, le=20, description="How much louder the music is.")
        ] = None,
        duck: Annotated[bool | None, Field(description="With mix: quieter music while somebody speaks.")] = None,
        output: Annotated[
            str | None, Field(description="With wait: the file to save the new film in, which must not be there yet.")
        ] = None,
        wait: Wait = True,
    ) -> Told:
        """Put a track under the film, and save the new film."""
        async with self._call(context) as (client, progress):
            if output and self.folder.has(output):
                raise BadInput(f"{output} is there already, and is not overwritten: name another file")
            job = await client.job(job_id)
            music = {result.index + 1: result.audio_url for result in job.results if result.audio_url}
            if track not in music:
                there = ", ".join(map(str, music)) or "none"
                raise BadInput(f"Job {job_id} has no track {track}: it is {job.status} and has {there}")
            film = await self._address(client, video, progress) if video else job.video_url
            options = {"mode": mode, "music_gain_db": music_gain_db, "duck": duck}
            made = await client.submit_merge(film, str(music[track]), **options)
            return await self._end(client, made, progress, wait, output)

    async def cancel(self, context: Context[Any, Any], job_id: JobId) -> Told:
        """Take a job back, also while it runs; one that has ended stays as it is."""
        async with self._call(context) as (client, _):
            return Told.of(await client.cancel(job_id), {})

    @asynccontextmanager
    async def _call(self, context: Context[Any, Any]) -> AsyncIterator[tuple[Client, Progress]]:
        progress: Progress | None = None
        try:
            async with self.connect() as client, telling(context, client) as progress:
                yield client, progress
        except RhythmAIError as error:
            job = f" (job {progress.job_id})" if progress and progress.job_id else ""
            raise ToolError(f"{error}{job}") from None

    async def _address(self, client: Client, video: str, progress: Progress) -> str:
        """The address of a video; a file is uploaded first."""
        if is_address(video):
            return video
        return await client.upload(await asyncio.to_thread(self.folder.film, video), progress.sent)

    async def _end(
        self, client: Client, job_id: UUID, progress: Progress, wait: bool, output: str | None = None
    ) -> Told:
        progress.job_id = job_id
        files: dict[int, Path] = {}
        if wait:
            async with aclosing(client.watch(job_id)) as events:
                async for event in events:
                    if isinstance(event, ResultReady):
                        files[event.result.index] = await self._save(client, job_id, event.result, output)
        job = await client.job(job_id)
        if wait and job.status != "completed":
            raise JobFailed(f"The job {'failed: ' + job.error if job.error else 'was ' + job.status}")
        return await self._saved(client, job, files)

    async def _saved(self, client: Client, job: Job, files: dict[int, Path]) -> Told:
        for result in job.results:
            if result.index not in files:
                files[result.index] = await self._save(client, job.job_id, result, None)
        return Told.of(job, files)

    async def _save(self, client: Client, job_id: UUID, result: Result, output: str | None) -> Path:
        """Where the result is; one that has its own name there was saved before, or is by another call meanwhile."""
        url = str(result.video_url or result.pack_url or result.audio_url)
        name = "merged" if result.video_url else "pack" if result.pack_url else f"track-{result.index + 1}"
        own = f"music-{job_id}/{name}{PurePosixPath(urlsplit(url).path).suffix}"
        if not output and (path := self.folder.has(own)):
            return path
        try:
            with self.folder.new(output or own) as (path, file):
                await client.pour(url, file)
        except BadInput:
            if output or not (path := self.folder.has(own)):
                raise
        return path
