"""The async client of a RhythmAI API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, Self
from urllib.parse import urlencode
from uuid import UUID

import aiohttp

from rhythmai.answers import Brief, Job, Result
from rhythmai.delivery import Delivery, Say
from rhythmai.errors import BadInput, JobFailed, Refused, Unreachable
from rhythmai.events import Event, JobChanged, JobDeleted, ResultReady, Story
from rhythmai.live import Joined, LiveTopic, Silence
from rhythmai.transfer import Progress, pour, receive, video_type
from rhythmai.unfinished import unfinished

SAFETY_POLL_S: Final = 15.0
"""How often REST is asked while Realtime is there: an event that got lost is late, never missed."""
BLIND_POLL_S: Final = 1.0
"""How often REST is asked while Realtime is not there."""
Trouble = Callable[[Unreachable | None], None]
PATIENCE_S: Final = 180.0
"""How long a watch goes on that nobody answers."""
SECOND_LOOK_S: Final = 3.0
"""A subscription may be announced some seconds before it is live: ask once more then."""


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
        if not api_url.startswith(("http://", "https://")):
            raise BadInput(f"{api_url} is not the address of an API (API_URL): write it like http://127.0.0.1:8000")
        self._api = f"{api_url.rstrip('/').removesuffix('/api/v1')}/api/v1"
        self._supabase_url = supabase_url
        self._key = key
        self._user_token = user_token
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session:
            await self._session.close()
            self._session = None

    async def submit(
        self, video_url: str, user_request: str = "", *, idempotency_key: str | None = None, **options: Any
    ) -> UUID:
        """Make a job. `options` are those of POST /api/v1/gen: variants, seed, duration (seconds), engine, format, plan, hits,
        segments, loop ..."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        body = {"video_url": video_url, "user_request": user_request, **_given(options)}
        _, answer = await self._call("POST", "/gen", body, headers)
        return UUID(answer["job_id"])

    async def submit_brief(self, video_url: str, user_request: str = "", **options: Any) -> UUID:
        """Make a job that writes a brief. `options` are those of POST /api/v1/brief: variants, seed, duration ..."""
        body = {"video_url": video_url, "user_request": user_request, **_given(options)}
        return UUID((await self._call("POST", "/brief", body))[1]["job_id"])

    async def brief(
        self,
        video_url: str,
        user_request: str = "",
        *,
        variants: int | None = None,
        seed: int | None = None,
        duration: float | None = None,
        made: Callable[[UUID], object] | None = None,
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
        return await self._of_job(job_id, "GET")

    async def jobs(self, status: str | None = None) -> AsyncGenerator[Job]:
        """All jobs of the user or the key, newest first, without results; only those of a status, if one is given."""
        cursor = None
        while True:
            asked = urlencode(_given({"status": status, "cursor": cursor, "limit": 100}))
            _, page = await self._call("GET", f"/jobs?{asked}")
            for job in page["jobs"]:
                yield Job.model_validate(job)
            if (cursor := page["next_cursor"]) is None:
                return

    async def cancel(self, job_id: UUID | str) -> Job:
        """Take the job back, also while it runs; an ended job stays as it is."""
        return Job.model_validate(await self._of_job(job_id, "DELETE"))

    async def delete(self, job_id: UUID | str) -> Job:
        """Have the job gone, and within a minute all its files; returns it as it was last. One that runs is cancelled first."""
        return Job.model_validate(await self._of_job(job_id, "DELETE", "?files=true"))

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
        return UUID((await self._of_job(job_id, "POST", "/again", body))["job_id"])

    async def submit_merge(self, video_url: str, audio_url: str, **options: Any) -> UUID:
        """Make a job that puts music under a video. `options` are those of POST /api/v1/merge: mode, music_gain_db, duck ..."""
        body = {"video_url": video_url, "audio_url": audio_url, **_given(options)}
        # A connection that waits for the video would end with the patience of whatever is on the way; a watch does not.
        _, answer = await self._call("POST", "/merge", body, {"Prefer": "respond-async"})
        return UUID(answer["job_id"])

    async def merge(
        self,
        video_url: str,
        audio_url: str,
        *,
        mode: Literal["replace", "mix"] | None = None,
        music_gain_db: float | None = None,
        duck: bool | None = None,
        duck_db: float | None = None,
        made: Callable[[UUID], object] | None = None,
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
        made: Callable[[UUID], object] | None = None,
        trouble: Trouble | None = None,
    ) -> str:
        """Have a track packed for editing programs and return the URL of the zip, however long it takes. Raises JobFailed.

        Without `variant` it is the best one. `made` and `trouble` are told as by `merge`.
        """
        answer = await self._of_job(job_id, "POST", "/pack", _given({"variant": variant}))
        return str((await self._waited(UUID(answer["job_id"]), "pack", made, trouble)).pack_url)

    async def _waited(
        self, job_id: UUID, what: str, made: Callable[[UUID], object] | None, trouble: Trouble | None
    ) -> Result:
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

    async def watch(
        self,
        job_id: UUID | str,
        *,
        trouble: Trouble | None = None,
        patience_s: float = PATIENCE_S,
    ) -> AsyncGenerator[Event]:
        """Tell what happens to a job until it has ended, or is gone; the end is the last event, after all results.

        Each result is told once, pushed by Realtime or found by REST, which is asked after every (re)subscription and
        now and then, so that a broken connection costs time and nothing else. `trouble` is told why the API
        does not answer, and None once it does; Unreachable is raised when nothing at all was heard for `patience_s`.
        """
        story = Story(_id(job_id))
        clock = asyncio.get_running_loop().time
        heard_s = clock()
        async with self._topic(story.job_id) as topic:
            just_joined = False
            while True:
                try:
                    job = await self.job(story.job_id)
                except Unreachable as away:
                    if story.standing is None or clock() - heard_s >= patience_s:
                        raise
                    if trouble:
                        trouble(away)
                except Refused as refused:
                    if story.standing is None or refused.code != "not_found":
                        raise
                    yield JobDeleted(job_id=story.job_id)
                    return
                else:
                    heard_s = clock()
                    if trouble:
                        trouble(None)
                    for event in story.from_answer(job):
                        yield event
                    if job.ended:
                        return
                pause_s = SECOND_LOOK_S if just_joined else SAFETY_POLL_S if topic.joined else BLIND_POLL_S
                just_joined = False
                while message := await topic.next(pause_s):
                    just_joined = isinstance(message, Joined)
                    # The end is told by REST, which knows all results: one that was pushed before may have been lost.
                    if isinstance(message, Joined) or story.is_end(message.event, message.payload):
                        break
                    heard_s = clock()
                    for event in story.from_payload(message.event, message.payload):
                        yield event

    async def upload(self, path: Path, progress: Progress | None = None, *, say: Say | None = None) -> str:
        """Upload a video file and return the URL to submit. `progress` is told (bytes there, bytes in all).

        A file of more than 6 MB goes in pieces: what a broken connection or a dead process left at Storage is gone on with, by
        this call or by the next one for the same file; a cancelled call takes it back. `say` is told so, in a sentence.
        """
        kind = video_type(path)
        size = (await asyncio.to_thread(path.stat)).st_size

        async def ask() -> dict[str, Any]:
            body = {"filename": path.name, "content_type": kind, "size": size}
            return (await self._call("POST", "/upload", body))[1]

        with unfinished(path, self._api) as begun:
            return await Delivery(self._http(), path, size, ask, progress, say).run(begun)

    async def download(self, url: str, path: Path, progress: Progress | None = None) -> Path:
        """Download a result to a file, which appears when it is complete. `progress` is told (received, in all or 0)."""
        return await receive(self._http(), url, path, progress)

    async def pour(self, url: str, file: BinaryIO, progress: Progress | None = None) -> None:
        """Download a result into an open file."""
        await pour(self._http(), url, file, progress)

    def _topic(self, job_id: UUID) -> LiveTopic | Silence:
        # Realtime takes users' tokens only: a server's key asks.
        if self._supabase_url and self._key and not (self._user_token or "").startswith("rk_"):
            return LiveTopic(self._supabase_url, self._key, f"job:{job_id}", user_token=self._user_token)
        return Silence()

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, connect=10, sock_read=120))
        return self._session

    async def _of_job(
        self, job_id: UUID | str, method: str, path: str = "", body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        job_id = _id(job_id)
        try:
            return (await self._call(method, f"/job/{job_id}{path}", body))[1]
        except Refused as error:
            raise Refused(error.status, error.code, f"{job_id}: {error}") from None

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        headers = dict(headers or {})
        if self._user_token or self._key:
            headers["Authorization"] = f"Bearer {self._user_token or self._key}"
        try:
            async with self._http().request(method, self._api + path, json=body, headers=headers) as response:
                try:
                    answer = await response.json(content_type=None)
                except ValueError:
                    answer = None
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"The API at {self._api} does not answer: {error or type(error).__name__}") from None
        if status >= 500 or not isinstance(answer, dict):
            detail = answer.get("detail") if isinstance(answer, dict) else None
            raise Unreachable(f"The API at {self._api} is in trouble ({status}): {detail or 'no reason given'}")
        if status >= 400:
            raise Refused(
                status, str(answer.get("code", "")), str(answer.get("detail") or answer.get("title") or status)
            )
        return status, answer


def _id(job_id: UUID | str) -> UUID:
    """Raises BadInput: what is no id has no place in a path."""
    try:
        return UUID(str(job_id))
    except ValueError:
        raise BadInput(f"{job_id} is not the id of a job: `submit` answers with one") from None


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
