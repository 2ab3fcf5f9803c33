"""The rest of the world on loopback: sites of strangers with their bad manners, a director that is moody, and who asked to be called back."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import Self

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

ENDS = {"job.completed", "job.failed", "job.cancelled"}
PIECES, PAUSE_S = 12, 0.25
"""How a slow site sends a file."""
REFUSED_TRIES = 2
"""From this try on a callback is taken: what was told by then must be told before the end."""
MOODS = (0.70, 0.80, 0.90)
"""The director answers in form, then with prose, then with an error; else it takes its time."""


class Site:
    """`async with Site(folder, secret, dice) as site:` serves the folder's files at `site.url`, well or badly.

    `heard` are the (job, status) that a callback told in truth, `forged` those it did not, `refused` those answered with 500.
    """

    def __init__(self, folder: Path, secret: str, dice: random.Random) -> None:
        self.folder, self.secret, self.dice = folder, secret, dice
        self._tries: Counter[str] = Counter()
        self.heard: set[tuple[str, str]] = set()
        self.forged = self.refused = self.asked = 0
        self._seen: set[str] = set()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**26)
        for path, answer in (
            ("/film/{name}", self.film), ("/slow/{name}", self.slow), ("/away/{name}", self.redirect),
            ("/flaky/{token}/{name}", self.flaky), ("/short/{token}/{name}", self.short), ("/never", self.never),
            ("/status/{code}", self.status), ("/loop", self.loop), ("/nowhere", self.nowhere),
            ("/announced", self.announced), ("/compressed", self.compressed),
        ):  # fmt: skip
            app.router.add_get(path, answer)
        app.router.add_post("/hook", self.hook)
        app.router.add_post("/v1/chat/completions", self.direct)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def film(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(self.folder / request.match_info["name"])

    async def slow(self, request: web.Request) -> web.StreamResponse:
        data = (self.folder / request.match_info["name"]).read_bytes()
        response = web.StreamResponse()
        await response.prepare(request)
        step = len(data) // PIECES + 1
        for start in range(0, len(data), step):
            await response.write(data[start : start + step])
            await asyncio.sleep(PAUSE_S)
        return response

    async def redirect(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(f"/film/{request.match_info['name']}")

    async def flaky(self, request: web.Request) -> web.StreamResponse:
        """In trouble when a token comes first, and well afterwards."""
        if self._first(request):
            return web.Response(status=503)
        return await self.film(request)

    async def short(self, request: web.Request) -> web.StreamResponse:
        """Gone in the middle of the file when a token comes first."""
        if not self._first(request):
            return await self.film(request)
        response = web.StreamResponse(headers={"Content-Length": "100000"})
        await response.prepare(request)
        await response.write(bytes(1000))
        assert request.transport is not None
        request.transport.abort()
        return response

    def _first(self, request: web.Request) -> bool:
        token = request.match_info["token"]
        first = token not in self._seen
        self._seen.add(token)
        return first

    async def never(self, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3600)
        return web.Response()

    async def status(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=int(request.match_info["code"]), text="no")

    async def loop(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "/loop", "Set-Cookie": "a=b"})

    async def nowhere(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=302)

    async def announced(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(10 * 2**30)})
        await response.prepare(request)
        await response.write(bytes(2**16))
        return response

    async def compressed(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=gzip.compress(bytes(2**22)), headers={"Content-Encoding": "gzip"})

    async def hook(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self._tries[request.headers["webhook-id"]] += 1
        if self._tries[request.headers["webhook-id"]] < REFUSED_TRIES and self.dice.random() < 0.3:
            self.refused += 1
            return web.Response(status=500)
        if self.dice.random() < 0.1:
            await asyncio.sleep(3)
        try:
            told = Webhook(self.secret).verify(body, dict(request.headers))
        except WebhookVerificationError:
            told = {"type": "forged"}
        if told["type"] in ENDS:
            self.heard.add((told["data"]["job_id"], told["data"]["status"]))
        else:
            self.forged += 1
        return web.Response(status=204)

    async def direct(self, request: web.Request) -> web.StreamResponse:
        """A vision-language model: mostly well, sometimes with words only, sometimes not at all."""
        self.asked += 1
        await request.read()
        mood = self.dice.random()
        if MOODS[1] <= mood < MOODS[2]:
            return web.json_response({"error": {"message": "overloaded"}}, status=500)
        if mood >= MOODS[2]:
            await asyncio.sleep(2)
        text = "I would suggest something calm." if MOODS[0] <= mood < MOODS[1] else json.dumps(self._directions())
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return web.json_response(
            {"id": "1", "object": "chat.completion", "created": 0, "model": "soak", "choices": [choice]}
        )

    def _directions(self) -> dict[str, object]:
        genres = self.dice.sample(["ambient", "rock", "jazz", "cinematic", "house", "folk"], 3)
        leads = self.dice.sample(["piano", "electric guitar", "saxophone", "strings", "synth"], 3)
        return {
            "directions": [
                {
                    "title": f"{genre} no. {n}", "genre": genre, "instruments": [lead], "tempo_bpm": 70 + 30 * n, "mood": "calm",
                    "key": "D minor", "dynamics": "even", "placement": "all along", "caption": f"{genre} with {lead}",
                }
                for n, (genre, lead) in enumerate(zip(genres, leads, strict=True))
            ]
        }  # fmt: skip
