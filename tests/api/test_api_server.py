"""The shell around every handler: slow clients, lost clients, broken handlers."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
import structlog
from aiohttp import web

from edge_api.body import read
from edge_api.connections import Connections
from edge_api.cors import Cors
from edge_api.metrics import Metrics
from edge_api.models import Gen
from edge_api.server import Runner


@pytest.fixture
def serve(stack):
    """Serves one handler at /x; returns host and port."""

    async def serve(handler, **options) -> tuple[str, int]:
        app = web.Application()
        app.router.add_route("*", "/x", handler)
        runner = Runner(app, cors=Cors(["*"]), metrics=Metrics(), connections=Connections(100), **options)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner.addresses[0]

    return serve


async def ok(_: web.Request) -> web.Response:
    return web.Response(text="ok")


@pytest.mark.parametrize("sent", [b"", b"GET /x HTTP/1.1\r\nHost: a\r\nX-Slow: ", b"GE"])
async def test_a_client_that_never_finishes_its_headers_is_hung_up_on(serve, sent):
    """A connection on which no request arrives is closed after the keep-alive time."""
    reader, writer = await asyncio.open_connection(*await serve(ok, keepalive_s=0.1))
    writer.write(sent)
    async with asyncio.timeout(120):
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_never_finishes_its_body_gets_a_408(serve):
    """The body has its time; then the answer says so and the connection ends."""

    async def handler(request: web.Request) -> web.Response:
        await read(request, Gen, within_s=0.1)
        return web.Response()

    reader, writer = await asyncio.open_connection(*await serve(handler))
    writer.write(b'POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"vid')
    async with asyncio.timeout(120):
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in head
    writer.close()
    await writer.wait_closed()


async def test_a_handler_ends_with_its_client(serve):
    """When the client goes away, what was done for it is cancelled."""
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return web.Response()

    _, writer = await asyncio.open_connection(*await serve(handler))
    writer.write(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    await begun.wait()
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(120):
        await cancelled.wait()


async def test_a_broken_handler_is_a_500_that_tells_nothing(serve):
    """An unexpected error answers a plain problem; the log has its type and place, not its words."""
    words = "private-words"

    async def handler(_: web.Request) -> web.Response:
        raise KeyError(words)

    host, port = await serve(handler)
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}/x") as answer:
            text = await answer.text()
            assert (answer.status, json.loads(text)["code"]) == (500, "internal")
            assert answer.headers["Content-Type"].startswith("application/problem+json")
    broke = next(line for line in logs if line["event"] == "request.broke")
    assert broke["error"] == "KeyError"
    assert broke["request_id"] == answer.headers["X-Request-Id"]
    assert words not in text
    assert words not in str(logs)


async def test_an_error_in_the_middle_of_an_answer_cuts_it(serve):
    """When an answer has begun nothing is added to it: the client sees that it is incomplete."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        raise KeyError

    host, port = await serve(handler)
    async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}/x") as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
