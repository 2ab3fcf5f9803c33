"""The async client of a RhythmAI API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self
from urllib.parse import urlencode
from uuid import UUID

from rhythmai.answers import Brief, Job, Result
from rhythmai.api import Api
from rhythmai.delivery import Delivery, Say
from rhythmai.errors import JobFailed
from rhythmai.events import Event, JobChanged, ResultReady
from rhythmai.live import LiveTopic, Silence
from rhythmai.transfer import Progress, pour, receive, video_type
from rhythmai.unfinished import unfinished
from rhythmai.watch import PATIENCE_S, Trouble, watch

Made = Callable[[UUID], object]


class Client:
    """Submits videos and brings back music.

        async with Client("http://127.0.0.1:54321") as client:
            job_id = await client.submit("https://example.com/cat.mp4", "calm piano")
            async for event in client.watch(job_id):
                print(event)

    With `supabase_url` and `key` (the publishable key) `watch` is told by Realtime, without them it asks REST each
    second. With `user_token` (the JWT of a signed-in user, or a server's key) jobs belong to that user or key.
    All calls raise Refused (the request has to change), Unreachable (the same request may work later) or BadInput
    (what was given cannot be used: no id, no video, a folder that is not there).
    """

    def __init__(
        self, api_url: str, supabase_url: str | None = None, key: str | None = None, user_token: str | None = None
    ) -> None:
        self._api = Api(api_url, user_token or key)
        self._supabase_url = supabase_url
        self._key = key
        self._user_token = user_token

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._api.close()

    async def submit(
        self, video_url: str, user_request: str = "", *, idempotency_key: str | None = None, **options: Any
    ) -> UUID:
        """Make a job. `options` are those of POST /api/v1/gen: variants, seed, duration (seconds), engine, format, plan, hits,
        segments, loop ..."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        body = {"video_url": video_url, "user_request": user_request, **_given(options)}
        return UUID((await self._api.call("POST", "/gen", body, headers))["job_id"])

    async def submit_brief(self, video_url: str, user_request: str = "", **options: Any) -> UUID:
        """Make a job that writes a brief. `options` are those of POST /api/v1/brief: variants, seed, duration ..."""
        body = {"video_url": video_url, "user_request": user_request, **_given(options)}
        return UUID((await self._api.call("POST", "/brief", body))["job_id"])

    async def brief(
        self,
        video_url: str,
        user_request: str = "",
        *,
        variants: int | None = None,
        seed: int | None = None,
        duration: float | None = None,
        made: Made | None = None,
        trouble: Trouble | None = None,
    ) -> Brief:
        """Have a film seen, heard and described, however long it takes; `submit` makes music of what the brief `asks`. Raises JobFailed.

        `made` is told the job that does it, `trouble` what a watch tells.
        """
        job_id = await self.submit_brief(video_url, user_request, variants=variants, seed=seed, duration=duration)
        if made:
            made(job_id)
        async with aclosing(self.watch(job_id, trouble=trouble)) as events:
            async for _ in events:
                pass
        job = await self.job(job_id)
        if job.brief is None:
            raise JobFailed(job.error or f"The brief was {job.status}.")
        return job.brief

    async def job(self, job_id: UUID | str) -> Job:
        """Where the job stands, with the results it has."""
        return Job.model_validate(await self.answer(job_id))

    async def answer(self, job_id: UUID | str) -> dict[str, Any]:
        """The same as the API wrote it."""
        return await self._api.of_job(job_id, "GET")

    async def jobs(self, status: str | None = None) -> AsyncGenerator[Job]:
        """All jobs of the user or the key, newest first, without results; only those of a status, if one is given."""
        cursor = None
        while True:
            asked = urlencode(_given({"status": status, "cursor": cursor, "limit": 100}))
            page = await self._api.call("GET", f"/jobs?{asked}")
            for job in page["jobs"]:
                yield Job.model_validate(job)
            if (cursor := page["next_cursor"]) is None:
                return

    async def cancel(self, job_id: UUID | str) -> Job:
        """Take the job back, also while it runs; an ended job stays as it is."""
        return Job.model_validate(await self._api.of_job(job_id, "DELETE"))

    async def delete(self, job_id: UUID | str) -> Job:
        """Have the job gone, and within a minute all its files; returns it as it was last. One that runs is cancelled first."""
        return Job.model_validate(await self._api.of_job(job_id, "DELETE", "?files=true"))

    async def again(
        self,
        job_id: UUID | str,
        *,
        seed: int | None = None,
        variant: int | None = None,
        engine: str | None = None,
        start: float | None = None,
        end: float | None = None,
    ) -> UUID:
        """Make a new job from the plan of an old one, with another seed, of one variant only, or with another engine.

        With `start` and `end` (seconds) the new track is the old one but for that part, which is played anew.
        """
        body = _given({"seed": seed, "variant": variant, "engine": engine, "start": start, "end": end})
        return UUID((await self._api.of_job(job_id, "POST", "/again", body))["job_id"])

    async def submit_merge(self, video_url: str, audio_url: str, **options: Any) -> UUID:
        """Make a job that puts music under a video. `options` are those of POST /api/v1/merge: mode, music_gain_db, duck ..."""
        body = {"video_url": video_url, "audio_url": audio_url, **_given(options)}
        # A connection that waits for the video would end with the patience of whatever is on the way; a watch does not.
        return UUID((await self._api.call("POST", "/merge", body, {"Prefer": "respond-async"}))["job_id"])

    async def merge(
        self,
        video_url: str,
        audio_url: str,
        *,
        mode: Literal["replace", "mix"] | None = None,
        music_gain_db: float | None = None,
        duck: bool | None = None,
        duck_db: float | None = None,
        made: Made | None = None,
        trouble: Trouble | None = None,
    ) -> str:
        """Put music under a video and return the URL of the new video, however long it takes. Raises JobFailed.

        `made` is told the job that does it, `trouble` what a watch tells.
        """
        options = {"mode": mode, "music_gain_db": music_gain_db, "duck": duck, "duck_db": duck_db}
        job_id = await self.submit_merge(video_url, audio_url, **options)
        return str((await self._waited(job_id, "merge", made, trouble)).video_url)

    async def pack(
        self,
        job_id: UUID | str,
        *,
        variant: int | None = None,
        made: Made | None = None,
        trouble: Trouble | None = None,
    ) -> str:
        """Have a track packed for editing programs and return the URL of the zip, however long it takes. Raises JobFailed.

        Without `variant` it is the best one. `made` and `trouble` are told as by `merge`.
        """
        answer = await self._api.of_job(job_id, "POST", "/pack", _given({"variant": variant}))
        return str((await self._waited(UUID(answer["job_id"]), "pack", made, trouble)).pack_url)

    async def _waited(self, job_id: UUID, what: str, made: Made | None, trouble: Trouble | None) -> Result:
        """The one result of a job. Raises JobFailed."""
        if made:
            made(job_id)
        async with aclosing(self.watch(job_id, trouble=trouble)) as events:
            async for event in events:
                if isinstance(event, ResultReady):
                    return event.result
                if isinstance(event, JobChanged) and event.ended:
                    raise JobFailed(event.error or f"The {what} was {event.status}.")
        raise JobFailed(f"The {what} ended without a result.")

    def watch(
        self, job_id: UUID | str, *, trouble: Trouble | None = None, patience_s: float = PATIENCE_S
    ) -> AsyncGenerator[Event]:
        """Tell what happens to a job until it has ended, or is gone; the end is the last event, after all results.

        Each result is told once, pushed by Realtime or found by REST, which is asked after every (re)subscription and
        now and then, so that a broken connection costs time and nothing else. `trouble` is told why the API
        does not answer, and None once it does; Unreachable is raised when nothing at all was heard for `patience_s`.
        """
        return watch(job_id, self.job, self._topic, trouble, patience_s)

    async def upload(self, path: Path, progress: Progress | None = None, *, say: Say | None = None) -> str:
        """Upload a video file and return the URL to submit. `progress` is told (bytes there, bytes in all).

        A file of more than 6 MB goes in pieces: what a broken connection or a dead process left at Storage is gone on with, by
        this call or by the next one for the same file; a cancelled call takes it back. `say` is told so, in a sentence.
        """
        kind = video_type(path)
        size = (await asyncio.to_thread(path.stat)).st_size

        async def ask() -> dict[str, Any]:
            body = {"filename": path.name, "content_type": kind, "size": size}
            return await self._api.call("POST", "/upload", body)

        with unfinished(path, self._api.url) as begun:
            return await Delivery(self._api.http(), path, size, ask, progress, say).run(begun)

    async def download(self, url: str, path: Path, progress: Progress | None = None) -> Path:
        """Download a result to a file, which appears when it is complete. `progress` is told (received, in all or 0)."""
        return await receive(self._api.http(), url, path, progress)

    async def pour(self, url: str, file: BinaryIO, progress: Progress | None = None) -> None:
        """Download a result into an open file."""
        await pour(self._api.http(), url, file, progress)

    def _topic(self, job_id: UUID) -> LiveTopic | Silence:
        # Realtime takes users' tokens only: a server's key asks.
        if self._supabase_url and self._key and not (self._user_token or "").startswith("rk_"):
            return LiveTopic(self._supabase_url, self._key, f"job:{job_id}", user_token=self._user_token)
        return Silence()


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
