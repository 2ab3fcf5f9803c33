"""What aiohttp itself refuses, and the page at the root."""

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


async def test_a_word_about_us_is_at_the_root(api):
    """Without a built page `/` says what this is and where the API is described."""
    async with api.get("/") as answer:
        text = await answer.text()
        assert answer.status == 200
        assert 'href="/openapi.json"' in text


async def test_a_built_page_is_served_from_its_folder(start_api, tmp_path):
    """index.html is at `/`, hashed assets may be kept for ever, the API keeps its own addresses, nothing else is served."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<h1>Studio</h1>")
    (tmp_path / "assets" / "app-1f2e.js").write_text("go()")
    api = await start_api(static=tmp_path)
    async with api.get("/") as answer:
        assert await answer.text() == "<h1>Studio</h1>"
        assert answer.headers["Cache-Control"] == "no-cache"
    async with api.get("/assets/app-1f2e.js") as answer:
        assert "javascript" in answer.headers["Content-Type"]
        assert "immutable" in answer.headers["Cache-Control"]
    for path, code in (("/assets/other.js", "not_found"), ("/api/v1/gen", "method_not_allowed")):
        assert (await ask(api, "get", path))[1]["code"] == code
