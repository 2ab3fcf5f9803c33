"""What aiohttp itself refuses."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.contract.conftest import ask


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"BREW /api/v1/merge HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /api/v1/ping HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"POST /api/v1/gen HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/gen HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST /api/v1/gen HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\nA\x00: b\r\n\r\n",
    ],
)
async def test_what_is_not_http_gets_one_clean_answer(api, raw):
    """Bytes that are no request get a 400 problem and the connection ends; the server lives on."""
    base = api._base_url
    reader, writer = await asyncio.open_connection(base.host, base.port)
    writer.write(raw)
    async with asyncio.timeout(120):
        said = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")), said
    assert b"application/problem+json" in head
    assert b"aiohttp" not in head
    assert json.loads(body)["code"] == "bad_request"
    assert (await ask(api, "get", "/api/v1/ping"))[0] == 200


async def test_an_odd_method_is_405(api):
    """Also one that browsers and Deno do not let through."""
    async with api.request("trace", "/healthz") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
