"""Visitors of the soak, in a closed loop: each does one thing, follows it to its end, rests a little, and does another."""

from __future__ import annotations

import asyncio
import random
import secrets
import traceback
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg

from bench.soak_films import COMPLETED, REFUSALS, File
from bench.soak_site import Site
from rhythmai.client import Client

FOLLOW_S = 240
"""No job takes so long here, however busy the machine: one that does is told as wrong."""
WISHES = ("", "calm piano", "90s house, 124 bpm", "strings in D minor, nothing that distracts", "épique 🎻")
ADDRESSES = {
    "/status/404": {"not_found"}, "/status/410": {"not_found"}, "/status/403": {"http_error"}, "/status/500": {"upstream_error"},
    "/loop": {"http_error"}, "/nowhere": {"http_error"}, "/announced": {"too_large"}, "/compressed": {"http_error"},
}  # fmt: skip
WEIGHTS = {
    "generate": 8, "upload": 3, "broken": 5, "address": 3, "flaky": 2, "merge": 4, "broken_merge": 1, "again": 2, "cancel_waiting": 2,
    "cancel_running": 3, "cancel_fetching": 1, "insert": 2, "twice": 1, "nonsense": 2,
}  # fmt: skip
"""What visitors do, and how often."""
ENDED = {"completed", "failed", "cancelled"}
LATER = "insert into public.jobs (video_url, run_at) values ($1, now() + interval '1 hour') returning id"
NOW = 'insert into public.jobs (video_url, tenant, options) values ($1, $2, \'{"variants": 2, "duration": 2}\') returning id'


def sentence(name: str, error: Exception) -> str:
    """What went wrong, and where."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{name}: {type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"


@dataclass(slots=True, kw_only=True)
class Place:
    """Where everything is."""

    url: str
    publishable_key: str
    secret_key: str
    database_url: str
    site: Site
    films: list[File]
    broken: list[File]
    music: list[File]


@dataclass(slots=True, kw_only=True)
class Visitors:
    """`done` counts what was done, `ends` how jobs ended, `wrong` holds what should not have happened, `known` the jobs we were told of."""

    place: Place
    dice: random.Random
    rest_s: float = 1.0
    done: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    called_back: dict[str, str] = field(default_factory=dict)
    """Jobs with a callback and how they ended."""
    open: set[str] = field(default_factory=set)
    tracks: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=12))
    """(job, audio_url) of the last tracks."""
    _first: list[str] = field(default_factory=lambda: list(WEIGHTS))

    async def visit(self, over: asyncio.Event) -> None:
        """One visitor, until it is over and each thing was done once; what was begun is brought to its end."""
        while self._first or not over.is_set():
            name = self._first.pop() if self._first else self.dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            await self.act(getattr(self, name))
            try:
                await asyncio.wait_for(over.wait(), self.dice.uniform(0, 2 * self.rest_s))
            except TimeoutError:
                continue

    async def act(self, action: Callable[[Client], Awaitable[None]]) -> None:
        place = self.place
        live = self.dice.random() < 0.5
        try:
            async with Client(place.url, place.url if live else None, place.publishable_key) as client:
                await action(client)
        except Exception as error:  # noqa: BLE001  a visitor goes on, and we want to read of it
            self.wrong.append(sentence(action.__name__, error))
        self.done[action.__name__] += 1

    async def generate(self, client: Client) -> None:
        film = self.dice.choice(self.place.films)
        way = self.dice.choice(("film", "film", "away", "slow"))
        await self._submit(client, f"{self.place.site.url}/{way}/{film.path.name}", COMPLETED)

    async def upload(self, client: Client) -> None:
        film = self.dice.choice(self.place.films)
        await self._submit(client, await client.upload(film.path), film.ends)

    async def broken(self, client: Client) -> None:
        film = self.dice.choice(self.place.broken)
        if film.path.stat().st_size and self.dice.random() < 0.5:
            url = await client.upload(film.path)
        else:
            url = f"{self.place.site.url}/film/{film.path.name}"
        await self.follow(client, await self._send(client, url, variants=1), film.ends)

    async def address(self, client: Client) -> None:
        path, codes = self.dice.choice(list(ADDRESSES.items()))
        await self.follow(client, await self._send(client, self.place.site.url + path), codes)

    async def flaky(self, client: Client) -> None:
        """A server that answers well only the second time."""
        way = self.dice.choice(("flaky", "short"))
        name = self.dice.choice(self.place.films).path.name
        await self._submit(client, f"{self.place.site.url}/{way}/{secrets.token_hex(8)}/{name}", COMPLETED)

    async def merge(self, client: Client) -> None:
        film = self.dice.choice(self.place.films)
        songs = [f"{self.place.site.url}/film/{song.path.name}" for song in self.place.music]
        song = self.tracks[-1][1] if self.tracks and self.dice.random() < 0.5 else self.dice.choice(songs)
        body = {
            "video_url": f"{self.place.site.url}/film/{film.path.name}", "audio_url": song,
            "mode": self.dice.choice(("mix", "replace")), "duck": self.dice.random() < 0.5,
        }  # fmt: skip
        status, answer = await self._post("/api/v1/merge", body)
        if status == 202:  # it took longer than the API waits
            await self.follow(client, UUID(answer["job_id"]), COMPLETED)
        else:
            self.ends["completed" if status == 200 else str(answer.get("error_code"))] += 1
            self._expect(status == 200 and "video_url" in answer, f"merge answered {status} {answer}")

    async def broken_merge(self, client: Client) -> None:
        film, other = self.dice.choice(self.place.films), self.dice.choice(self.place.broken[:4])
        site = self.place.site.url
        body = {"video_url": f"{site}/film/{film.path.name}", "audio_url": f"{site}/film/{other.path.name}"}
        status, answer = await self._post("/api/v1/merge", body)
        self.ends[str(answer.get("error_code"))] += 1
        fine = status == 422 and answer.get("error_code") in REFUSALS
        self._expect(fine, f"a broken merge answered {status} {answer}")

    async def again(self, client: Client) -> None:
        if not self.tracks:
            await self.generate(client)
        job, _ = self.tracks[-1]
        options = self.dice.choice(({"seed": 7}, {"variant": 0}, {}))
        await self.follow(client, await client.again(job, **options), COMPLETED)

    async def cancel_waiting(self, client: Client) -> None:
        job = await self._sql(LATER, f"{self.place.site.url}/film/a.mp4")
        await client.cancel(job)
        await self.follow(client, job, {"cancelled"})

    async def cancel_running(self, client: Client) -> None:
        job = await self._send(client, f"{self.place.site.url}/slow/g.mp4", variants=8)
        await self._until_runs(client, job)
        await asyncio.sleep(self.dice.uniform(0, 8))
        await client.cancel(job)
        await self.follow(client, job, {"cancelled", "completed"})

    async def cancel_fetching(self, client: Client) -> None:
        job = await client.submit(f"{self.place.site.url}/never")
        await self._until_runs(client, job)
        await client.cancel(job)
        await self.follow(client, job, {"cancelled"})

    async def insert(self, client: Client) -> None:
        """Plain SQL, which lands in the lane `batch`."""
        url = f"{self.place.site.url}/film/{self.dice.choice(self.place.films).path.name}"
        await self.follow(client, await self._sql(NOW, url, f"tenant {self.dice.randrange(5)}"), COMPLETED)

    async def twice(self, client: Client) -> None:
        key, url = secrets.token_hex(8), f"{self.place.site.url}/film/a.mp4"
        jobs = [await client.submit(url, idempotency_key=key, variants=1, duration=2) for _ in range(2)]
        self._expect(jobs[0] == jobs[1], "an idempotency key made two jobs")
        await self.follow(client, jobs[0], COMPLETED)

    async def nonsense(self, client: Client) -> None:
        for body in (
            {},
            {"video_url": "file:///etc/passwd"},
            {"video_url": "http://u:p@x/a"},
            {"video_url": "http://x", "colour": 1},
        ):
            status, _ = await self._post("/api/v1/gen", body)
            self._expect(status == 422, f"{body} answered {status}")
        async with aiohttp.ClientSession(self.place.url) as http:
            for method, path, data in (
                ("GET", "/api/v1/job/nobody", None), ("PUT", "/api/v1/gen", b"{}"), ("POST", "/api/v1/gen", b"{"),
                ("POST", "/api/v1/gen", b'{"a": "' + b"x" * 2**21 + b'"}'), ("GET", f"/{secrets.token_hex(8)}/a%20b", None),
                ("GET", f"/api/v1/job/{UUID(int=0)}/events", None), ("GET", "/storage/v1/object/public/audios/none/a.flac", None),
            ):  # fmt: skip
                async with http.request(method, path, data=data) as answer:
                    self._expect(400 <= answer.status < 500, f"{method} {path[:40]} answered {answer.status}")

    async def follow(self, client: Client, job: UUID, ends: set[str] | frozenset[str]) -> None:
        """To its end, in one of the ways there are."""
        name = str(job)
        self.known.add(name)
        self.open.add(name)
        try:
            async with asyncio.timeout(FOLLOW_S):
                way = self.dice.choice(("poll", "events", "watch"))
                if way == "events":
                    async with (
                        aiohttp.ClientSession(self.place.url) as http,
                        http.get(f"/api/v1/job/{job}/events") as told,
                    ):
                        async for _ in told.content:
                            pass
                elif way == "watch":
                    async for _ in client.watch(job):
                        pass
                while (answer := await client.answer(job))["status"] not in ENDED:
                    await asyncio.sleep(0.3)
        finally:
            self.open.discard(name)
        self._judge(name, answer, ends)

    def _judge(self, job: str, answer: dict[str, Any], ends: set[str] | frozenset[str]) -> None:
        end = answer["error_code"] if answer["status"] == "failed" else answer["status"]
        self.ends[end] += 1
        if job in self.called_back:
            self.called_back[job] = answer["status"]
        self._expect(end in ends, f"{job} ended as {end} ({answer['error']}), not as {' or '.join(sorted(ends))}")
        if end == "completed":
            count = answer["total_count"]
            whole = answer["completed_count"] == count == len(answer["results"])
            self._expect(whole, f"{job} is completed with {len(answer['results'])} of {count}")
            self.tracks.extend((job, result["audio_url"]) for result in answer["results"] if result["audio_url"])

    async def _submit(self, client: Client, url: str, ends: frozenset[str]) -> None:
        dice = self.dice
        options: dict[str, Any] = {
            "variants": dice.choice((1, 1, 2, 3)), "duration": dice.choice((None, 2, 3)), "seed": dice.choice((None, 11)),
            "format": dice.choice((None, None, "wav", "mp3", "m4a")), "negative_prompt": dice.choice((None, "drums")),
        }  # fmt: skip
        if dice.random() < 0.15:
            options["plan"] = [{"prompt": "slow solo piano, warm", "tempo_bpm": 70, "key": "F# minor"}]
            options["variants"] = None
        await self.follow(client, await self._send(client, url, dice.choice(WISHES), **options), ends)

    async def _send(self, client: Client, url: str, wish: str = "", **options: Any) -> UUID:
        """Make a job; three in ten want to be called back."""
        if self.dice.random() >= 0.3:
            return await client.submit(url, wish, **options)
        job = await client.submit(url, wish, callback_url=f"{self.place.site.url}/hook", **options)
        self.called_back[str(job)] = ""
        return job

    async def _until_runs(self, client: Client, job: UUID) -> None:
        async with asyncio.timeout(FOLLOW_S):
            while (await client.answer(job))["status"] == "pending":
                await asyncio.sleep(0.1)

    async def _post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        async with aiohttp.ClientSession(self.place.url) as http, http.post(path, json=body) as answer:
            return answer.status, await answer.json(content_type=None)

    async def _sql(self, statement: str, *arguments: object) -> Any:
        db = await asyncpg.connect(self.place.database_url, server_settings={"application_name": "soak visitor"})
        try:
            return await db.fetchval(statement, *arguments)
        finally:
            await db.close()

    def _expect(self, fine: bool, otherwise: str) -> None:
        if not fine:
            self.wrong.append(otherwise)
