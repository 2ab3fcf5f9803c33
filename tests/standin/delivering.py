"""A film of 20 MiB on its way to the gateway, and all that a delivery wants for it; the fixtures are in conftest."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from rhythmai.delivery import Delivery
from rhythmai.unfinished import unfinished

MIB = 2**20
FILM = random.Random(7).randbytes(20 * MIB)


class Tickets:
    """Answers POST /api/v1/upload with uploads signed by the gateway's Storage; counts them."""

    def __init__(self, storage, url):
        self._storage = storage
        self.url = url
        """Where Storage is said to be."""
        self.endpoint = "/storage/v1/upload/resumable/sign"
        self.life = timedelta(hours=2)
        self.given = []
        self.last = {}

    async def ask(self):
        name = f"film-{len(self.given)}.mp4"
        token = (await self._storage("POST", f"object/upload/sign/b/{name}")).json()["token"]
        self.given.append(name)
        self.last = {
            "upload_url": f"{self.url}/storage/v1/object/upload/sign/b/{name}?token={token}",
            "method": "PUT",
            "headers": {"content-type": "video/mp4"},
            "video_url": name,
            "expires_at": (datetime.now(UTC) + self.life).isoformat(),
            "resumable": {
                "endpoint": self.url + self.endpoint,
                "headers": {"x-signature": token},
                "metadata": {"bucketName": "b", "objectName": name, "contentType": "video/mp4", "cacheControl": "3600"},
                "chunk_size": 6 * MIB,
            },
        }
        return self.last


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rhythmai" / "uploads"


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(FILM)
    return path


@pytest.fixture
def tickets(gateway, storage):
    return Tickets(storage, gateway.url)


@pytest.fixture
async def asked():
    """What a client asks: (method, length of the body)."""
    return []


@pytest.fixture
async def session(asked):
    async def starts(_session, _context, request):
        asked.append((request.method, int(request.headers.get("Content-Length", 0))))

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(starts)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        yield session


@pytest.fixture
def deliver(session, tickets, film, cache):
    """Brings the film; `deliver.said` is what was told."""

    async def run(progress=None, pauses_s=(0.0, 0.0, 0.0)):
        size = (await asyncio.to_thread(film.stat)).st_size
        delivery = Delivery(session, film, size, tickets.ask, progress, run.said.append, pauses_s)
        with unfinished(film, "http://api") as begun:
            return await delivery.run(begun)

    run.said = []
    return run


async def stored(storage, name):
    return (await storage("GET", f"object/b/{name}")).body
