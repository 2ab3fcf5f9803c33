"""Abuse of both hosts over raw connections: crowds, header games, bytes that are no HTTP. Nothing but clean answers comes back."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import aiohttp
import pytest
from yarl import URL

from tests.contract.conftest import VIDEO, ask
from tests.contract.keys import bearer, spoken

GEN = "/api/v1/gen"
HEAD = b"POST /api/v1/gen HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
TRACES = ("Traceback", "file://", ".py", ".ts:", "node_modules", "site-packages", "postgres://", "asyncpg", "hyper")


def clean(text: str) -> None:
    """No trace of code and no key is in an answer."""
    assert not [word for word in TRACES if word in text], text
    assert spoken(text) == set()


@asynccontextmanager
async def connection(host):
    url = URL(host.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def said(host, raw: bytes, *, more: bool = False) -> str:
    """Everything the host answers to these bytes, until it hangs up; unless there is `more` it is told that this was all."""
    async with asyncio.timeout(120), connection(host) as (reader, writer):
        with suppress(OSError):  # it may have hung up before it has read all
            writer.write(raw)
            await writer.drain()
            if not more:
                writer.write_eof()
            return (await reader.read()).decode("latin-1")
    return ""


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"BREW /api/v1/merge HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /api/v1/ping HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n{}\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        HEAD + b'Content-Length: 1000\r\n\r\n{"video_url": ',
        b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\nA\x00: b\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET //evil.example/%2e%2e/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /api/v1/job/\xff\xfe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /api/v1/nothing HTTP/1.1\r\nHost: ]]][[[\r\nConnection: close\r\n\r\n",
        b"GET /api/v1/nothing HTTP/1.1\r\nHost: a/b?c@d\r\nConnection: close\r\n\r\n",
        b"GET /api/v1/nothing HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET /api/v1/nothing HTTP/1.0\r\n\r\n",
    ],
)
async def test_what_is_hardly_http_gets_a_clean_answer_or_none(host, api, raw):
    """Bytes that are no request end in a 4xx, a problem where our code is reached at all; the host lives on."""
    answer = await said(host, raw)
    clean(answer)
    head, _, body = answer.partition("\r\n\r\n")
    if head:
        assert head.startswith(("HTTP/1.1 4", "HTTP/1.0 4")), head
        assert "problem+json" in head or (host.name == "function" and body == ""), answer
    assert host.alive
    assert (await ask(api, "get", "/api/v1/ping"))[0] == 200


async def test_two_requests_are_never_taken_for_one(host):
    """A request with two lengths is refused, and nothing of its body is taken for a second request."""
    smuggled = b"GET /api/v1/ping HTTP/1.1\r\nHost: a\r\n\r\n"
    raw = HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled
    assert "RhythmAI API is running" not in await said(host, raw)


async def test_a_chain_of_requests_gets_a_chain_of_answers(host):
    """Pipelined requests are answered one by one, in order."""
    ping = b"GET /api/v1/ping HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = await said(host, ping * 20 + last, more=True)
    assert (answer.count("HTTP/1.1 200"), answer.count("HTTP/1.1 404")) == (20, 1)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer " + "a" * 7000},
        {"Authorization": "Bearer " + ".".join(["e30"] * 1000)},
        {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."},
        {"Idempotency-Key": "'; drop table public.jobs; --"},
        {"Prefer": ",".join(["respond-async;x=" + "y" * 20] * 100)},
        {"X-Request-Id": "a\tb' or 1=1 --"},
        {"X-Forwarded-For": ",".join(["::1"] * 1000), "Forwarded": "for=_gazonk", "X-Real-IP": "%00"},
        {"X-HTTP-Method-Override": "DELETE", "X-Original-URL": "/etc/passwd", "X-Forwarded-Prefix": "//evil"},
        {"Origin": "https://" + "a" * 5000, "Access-Control-Request-Headers": "x" * 1000},
        {"Last-Event-ID": "end" * 1000, "Range": "bytes=0-0", "If-None-Match": "*", "Upgrade": "h2c"},
        {"Accept": "text/html;q=" + "9" * 1000, "Accept-Encoding": "br, gzip, zstd", "TE": "trailers"},
        {"Cookie": "a=" + "b" * 4000, "Host": "evil.example"},
    ],
)
async def test_header_games_change_nothing(api, headers):
    """Odd headers are answered like none, or refused cleanly; nothing of them comes back as a header or a trace."""
    for method, path in (("get", f"/api/v1/job/{uuid4()}"), ("post", GEN), ("get", f"/api/v1/job/{uuid4()}/events")):
        async with api.request(method, path, headers=headers, json={} if method == "post" else None) as answer:
            text = await answer.text()
            clean(text)
            assert 400 <= answer.status < 500, text
            assert answer.content_type == "application/problem+json"
            assert "evil" not in str(answer.headers)


async def test_a_thousand_posts_at_once_all_get_an_answer(host, db):
    """A crowd on a thousand connections waits its turn; every post is a job, but who waits too long is told when to come back."""
    before = await db.fetchval("select count(*) from public.jobs")

    async def post(crowd: aiohttp.ClientSession) -> str | None:
        async with crowd.post(GEN, json={"video_url": VIDEO}) as answer:
            assert answer.status == 200 or (answer.status == 503 and answer.headers["Retry-After"])
            return (await answer.json(content_type=None)).get("job_id")

    async with host.session(connector=aiohttp.TCPConnector(limit=0), headers=bearer()) as crowd:
        jobs = [job for job in await asyncio.gather(*(post(crowd) for _ in range(1000))) if job]
    assert len(set(jobs)) == await db.fetchval("select count(*) from public.jobs") - before > 0


async def test_the_same_key_a_hundred_times_at_once_is_one_job(api):
    """Concurrent repetitions of one request meet in one job."""
    headers = {"Idempotency-Key": uuid4().hex}
    answers = await asyncio.gather(
        *(ask(api, "post", GEN, json={"video_url": VIDEO}, headers=headers) for _ in range(100))
    )
    assert {status for status, _ in answers} == {200}
    assert len({answer["job_id"] for _, answer in answers}) == 1


async def test_clients_that_vanish_leave_nothing_behind(host, api, gen):
    """Hundreds of streams and merges whose clients hang up at once end, and the host goes on."""
    job = await gen()
    merge = json.dumps({"video_url": VIDEO, "audio_url": VIDEO}).encode()
    requests = (
        f"GET /api/v1/job/{job}/events HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
        b"POST /api/v1/merge HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: "
        + str(len(merge)).encode() + b"\r\n\r\n" + merge,
    )  # fmt: skip

    async def vanish(raw: bytes) -> None:
        async with connection(host) as (_, writer):
            writer.write(raw)
            await writer.drain()

    await asyncio.gather(*(vanish(requests[number % 2]) for number in range(400)))
    assert (await ask(api, "get", f"/api/v1/job/{job}"))[0] == 200
    assert host.alive


async def test_odd_text_comes_back_as_it_was(api):
    """Whatever Unicode a wish or an address holds is kept to the letter, never read as markup, SQL or a path."""
    for text in (
        "'); drop table public.jobs; --",
        "<script>alert(1)</script>",
        "${7*7}{{7*7}}%s%n",
        "\u202e\u2066مرحبا\ufeff",
        "Z̷̡͝",
    ):
        status, made = await ask(api, "post", GEN, json={"video_url": VIDEO + "?q='%27%00", "user_request": text})
        assert status == 200
        view = (await ask(api, "get", f"/api/v1/job/{made['job_id']}"))[1]
        assert (view["user_request"], view["video_url"]) == (text, VIDEO + "?q='%27%00")
