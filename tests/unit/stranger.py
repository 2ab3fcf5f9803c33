"""Servers with bad manners on loopback; 127.0.0.1 plays the public internet, 127.0.0.2 the private network."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from worker.addresses import Address
from worker.errors import Rejected, Unavailable
from worker.fetch import HttpFetcher

MEGABYTE = 2**20


@dataclass
class Stranger:
    """A server with every bad manner, and what it saw."""

    requests: list[web.BaseRequest] = field(default_factory=list)
    sent: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    elsewhere: str = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        answer = getattr(self, request.path.strip("/").split("/")[0])
        return await answer(request)

    async def file(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"abc" * 100_000)

    storage = file

    async def endless(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for _ in range(10 * 1024):
                await response.write(b"\0" * MEGABYTE)
                self.sent += MEGABYTE
        finally:
            self.gone.set()
        return response

    async def announced(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(10 * 1024 * MEGABYTE)})
        await response.prepare(request)
        return response

    async def silent(self, request: web.BaseRequest) -> web.StreamResponse:
        await self.gone.wait()
        return web.Response()

    async def stalls(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"abc")
        await self.gone.wait()
        return response

    async def drips(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while not self.gone.is_set():
            await response.write(b"a")
            await asyncio.sleep(0.01)
        return response

    async def short(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"abc")
        request.transport.close()
        return response

    async def bomb(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=gzip.compress(b"\0" * 64 * MEGABYTE), headers={"Content-Encoding": "gzip"})

    async def status(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=int(request.path.split("/")[2]), text="no")

    async def hops(self, request: web.BaseRequest) -> web.StreamResponse:
        left = int(request.path.split("/")[2])
        headers = {"Location": f"../hops/{left - 1}" if left > 1 else "/file", "Set-Cookie": "a=b"}
        return web.Response(status=302, headers=headers)

    async def out(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": self.elsewhere} if self.elsewhere else {})


Start = Callable[..., Awaitable[tuple[Stranger, str]]]


@asynccontextmanager
async def strangers() -> AsyncIterator[Start]:
    """Give a function that starts a server and returns it with its origin; all are closed at the end."""
    servers: list[tuple[TestServer, Stranger]] = []

    async def start(host: str = "127.0.0.1", port: int = 0) -> tuple[Stranger, str]:
        stranger = Stranger()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", stranger.handle)
        server = TestServer(app, host=host, port=port)
        await server.start_server()
        servers.append((server, stranger))
        return stranger, f"http://{host}:{server.port}"

    yield start
    for server, stranger in servers:
        stranger.gone.set()
        await server.close()


def only_the_first_loopback(address: Address) -> str | None:
    return None if str(address) == "127.0.0.1" else "a private network"


class Names(AbstractResolver):
    """Names lead where `resolve` says."""

    def __init__(self, resolve: Callable[[str, int], Awaitable[list[str]]]) -> None:
        self._resolve = resolve

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=text,
                port=port,
                family=socket.AF_INET6 if ":" in text else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for text in await self._resolve(host, port)
        ]

    async def close(self) -> None: ...


def fetcher(**arguments: Any) -> HttpFetcher:
    return HttpFetcher(**{"policy": only_the_first_loopback, "max_bytes": MEGABYTE, **arguments})


async def refused(fetch: HttpFetcher, url: str, into: Path) -> Rejected | Unavailable:
    """Fetch, expect an error for the user, and expect the folder to be left empty."""
    with pytest.raises((Rejected, Unavailable)) as caught:
        await fetch.fetch(url, into)
    assert list(into.iterdir()) == []
    return caught.value
