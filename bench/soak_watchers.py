"""Watchers of the soak who come and go, and do not always say goodbye: event streams, Realtime, downloads, uploads, half requests."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from bench.soak_visitors import Place, Visitors, sentence
from rhythmai.live import LiveTopic

PATIENCE_S = 8
"""How long a watcher stays at most."""
ACTIONS = (
    "stream_and_leave", "stream_and_never_read", "join_and_leave", "join_and_never_read", "join_by_client", "listen_to_changes",
    "be_present", "download", "download_and_leave", "upload_and_leave", "half_a_request", "merge_and_leave",
)  # fmt: skip
FLOOD = 24
FLOOD_BYTES = 200_000
"""Broadcasts to somebody who does not read: more than the kernel's buffers hold, less than what the gateway cuts off at."""


@dataclass(slots=True, kw_only=True)
class Watchers:
    """`done` counts what was done, `wrong` holds what should not have happened."""

    place: Place
    visitors: Visitors
    dice: random.Random
    rest_s: float = 1.0
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _first: list[str] = field(default_factory=lambda: list(ACTIONS))

    async def watch(self, over: asyncio.Event) -> None:
        """One watcher after the other, until it is over and each thing was done once."""
        while self._first or not over.is_set():
            name = self._first.pop() if self._first else self.dice.choice(ACTIONS)
            try:
                async with asyncio.timeout(60):
                    await getattr(self, name)()
            except Exception as error:  # noqa: BLE001  a watcher goes on, and we want to read of it
                self.wrong.append(sentence(name, error))
            self.done[name] += 1
            try:
                await asyncio.wait_for(over.wait(), self.dice.uniform(0, 2 * self.rest_s))
            except TimeoutError:
                continue

    async def stream_and_leave(self) -> None:
        """Server-sent events, left in the middle."""
        async with aiohttp.ClientSession(self.place.url) as http, http.get(self._events()) as told:
            await told.content.readany()
            await asyncio.sleep(self.dice.uniform(0, PATIENCE_S / 2))

    async def stream_and_never_read(self) -> None:
        await self._say_and_never_read(f"GET {self._events()} HTTP/1.1")

    async def join_and_leave(self) -> None:
        """A job's topic; half of them leave by closing the socket under it."""
        async with self._socket() as ws:
            await self._join(ws, f"job:{self._job()}")
            await asyncio.sleep(self.dice.uniform(0, PATIENCE_S / 2))
            if self.dice.random() < 0.5:
                await ws.close()

    async def join_and_never_read(self) -> None:
        """Somebody else talks a lot on the topic meanwhile."""
        topic = f"soak:{secrets.token_hex(4)}"
        async with self._socket() as ws:
            await self._join(ws, topic)
            headers = {"apikey": self.place.secret_key}
            message = {"topic": topic, "event": "talk", "private": True, "payload": {"text": "x" * FLOOD_BYTES}}
            async with aiohttp.ClientSession(self.place.url, headers=headers) as http:
                for _ in range(FLOOD):
                    async with http.post("/realtime/v1/api/broadcast", json={"messages": [message]}) as answer:
                        self._expect(answer.status == 202, f"a broadcast answered {answer.status}")
            await asyncio.sleep(self.dice.uniform(0, PATIENCE_S / 2))

    async def join_by_client(self) -> None:
        """As our own client listens."""
        async with LiveTopic(self.place.url, self.place.publishable_key, f"job:{self._job()}") as topic:
            await topic.next(PATIENCE_S / 2)

    async def listen_to_changes(self) -> None:
        wanted = [{"event": "*", "schema": "public", "table": table} for table in ("jobs", "results")]
        async with self._socket() as ws:
            await self._join(ws, f"changes:{secrets.token_hex(4)}", postgres_changes=wanted)
            while (await ws.receive_json())[3] != "system":  # which says that the bindings are live
                pass
            await asyncio.sleep(self.dice.uniform(0, PATIENCE_S / 2))

    async def be_present(self) -> None:
        async with self._socket() as ws:
            topic = f"room:{self.dice.randrange(3)}"
            await self._join(ws, topic, presence={"key": secrets.token_hex(4), "enabled": True})
            track = {"type": "presence", "event": "track", "payload": {"name": secrets.token_hex(8)}}
            await ws.send_json(["1", "2", f"realtime:{topic}", "presence", track])
            await asyncio.sleep(self.dice.uniform(0, PATIENCE_S / 4))

    async def download(self) -> None:
        """A whole track, or a range of it."""
        if not self.visitors.tracks:
            return
        headers = {"Range": "bytes=100-9999"} if self.dice.random() < 0.5 else {}
        async with aiohttp.ClientSession() as http, http.get(self.visitors.tracks[-1][1], headers=headers) as answer:
            self._expect(answer.status in {200, 206}, f"a track answered {answer.status}")
            await answer.read()

    async def download_and_leave(self) -> None:
        if self.visitors.tracks:
            path = urlsplit(self.visitors.tracks[-1][1]).path
            await self._say_and_never_read(f"GET {path} HTTP/1.1")

    async def upload_and_leave(self) -> None:
        """Gone after a piece of what was announced."""
        async with aiohttp.ClientSession(self.place.url) as http:
            body = {"filename": "a.mp4", "content_type": "video/mp4", "size": 10**6}
            async with http.post("/api/v1/upload", json=body) as answer:
                ticket = await answer.json()
        parts = urlsplit(ticket["upload_url"])
        lines = (f"PUT {parts.path}?{parts.query} HTTP/1.1", "Content-Type: video/mp4", "Content-Length: 1000000")
        await self._say_and_never_read(*lines, body=bytes(300_000))

    async def half_a_request(self) -> None:
        await self._say_and_never_read("POST /api/v1/gen HTTP/1.1", "Content-Type: application/json", end="")

    async def merge_and_leave(self) -> None:
        """Its job goes on; nobody waits for it any more."""
        site, film = self.place.site.url, self.dice.choice(self.place.films).path.name
        song = self.dice.choice(self.place.music).path.name
        body = json.dumps({"video_url": f"{site}/film/{film}", "audio_url": f"{site}/film/{song}"}).encode()
        lines = ("POST /api/v1/merge HTTP/1.1", "Content-Type: application/json", f"Content-Length: {len(body)}")
        await self._say_and_never_read(*lines, body=body, stay_s=self.dice.choice((0, 0.01, 0.3)))

    async def _say_and_never_read(
        self, *lines: str, body: bytes = b"", end: str = "\r\n", stay_s: float | None = None
    ) -> None:
        """A request by hand, whose answer is never read; then the connection breaks."""
        parts = urlsplit(self.place.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**10)
        try:
            writer.write("\r\n".join((*lines, f"Host: {parts.netloc}", end)).encode() + body)
            await asyncio.sleep(self.dice.uniform(0, PATIENCE_S) if stay_s is None else stay_s)
        finally:
            writer.transport.abort()
        del reader

    @asynccontextmanager
    async def _socket(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Closed under its channels, without a word."""
        address = f"/realtime/v1/websocket?apikey={self.place.secret_key}&vsn=2.0.0"
        async with aiohttp.ClientSession(self.place.url) as http:
            ws = await http.ws_connect(address)
            yield ws
            if not ws.closed and ws._response.connection is not None:  # noqa: SLF001
                ws._response.connection.transport.abort()  # noqa: SLF001

    async def _join(self, ws: aiohttp.ClientWebSocketResponse, topic: str, **config: Any) -> None:
        await ws.send_json(["1", "1", f"realtime:{topic}", "phx_join", {"config": {"private": True, **config}}])
        answer = await ws.receive_json(timeout=30)
        self._expect(answer[3] == "phx_reply" and answer[4]["status"] == "ok", f"joining {topic}: {answer}")

    def _job(self) -> str:
        """One that is open, or was."""
        return self.dice.choice(sorted(self.visitors.open or self.visitors.known or {secrets.token_hex(16)}))

    def _events(self) -> str:
        return f"/api/v1/job/{self._job()}/events"

    def _expect(self, fine: bool, otherwise: str) -> None:
        if not fine:
            self.wrong.append(otherwise)
