"""HttpFetcher against real servers on loopback; 127.0.0.1 plays the public internet, 127.0.0.2 the private network."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
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


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[tuple[Stranger, str]]]]:
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


def fetcher(**arguments: Any) -> HttpFetcher:
    return HttpFetcher(**{"policy": only_the_first_loopback, "max_bytes": MEGABYTE, **arguments})


async def refused(fetch: HttpFetcher, url: str, into: Path) -> Rejected | Unavailable:
    """Fetch, expect an error for the user, and expect the folder to be left empty."""
    with pytest.raises((Rejected, Unavailable)) as caught:
        await fetch.fetch(url, into)
    assert list(into.iterdir()) == []
    return caught.value


async def test_brings_a_file_to_disk(serve, tmp_path) -> None:
    """A file arrives whole, under a name that owes nothing to the URL."""
    _, origin = await serve()
    path = await fetcher().fetch(f"{origin}/file/..%2f..%2fevil.m3u8?token=1", tmp_path)
    assert path.read_bytes() == b"abc" * 100_000
    assert path.parent == tmp_path
    assert path.suffix == ""


async def test_sends_nothing_of_ours(serve, tmp_path, monkeypatch) -> None:
    """No key, cookie, referrer or proxy of the environment travels along, not even after a redirect set a cookie."""
    stranger, origin = await serve()
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.2:9")
    into = tmp_path / "into"
    into.mkdir()
    await fetcher().fetch(f"{origin}/hops/2", into)
    for request in stranger.requests:
        assert set(request.headers) == {"Host", "Connection", "Accept", "Accept-Encoding", "User-Agent"}
        assert request.headers["Accept-Encoding"] == "identity"


async def test_an_endless_stream_stops_at_the_limit(serve, tmp_path) -> None:
    """Ten gigabytes without a length are cut off soon after the limit, and the server notices."""
    stranger, origin = await serve()
    error = await refused(fetcher(), f"{origin}/endless?sig=secret", tmp_path)
    assert isinstance(error, Rejected)
    assert error.code == "too_large"
    assert "1.0 MB" in str(error)
    assert "secret" not in str(error)
    await stranger.gone.wait()
    assert stranger.sent < 100 * MEGABYTE


async def test_a_length_over_the_limit_is_not_even_read(serve, tmp_path) -> None:
    """A Content-Length over the limit is refused at once, naming both sizes."""
    _, origin = await serve()
    error = await refused(fetcher(), f"{origin}/announced", tmp_path)
    assert error.code == "too_large"
    assert "10240.0 MB" in str(error)
    assert "1.0 MB" in str(error)


@pytest.mark.parametrize(
    ("path", "limits"),
    [
        ("silent", {"stall": timedelta(seconds=0.1)}),
        ("stalls", {"stall": timedelta(seconds=0.1)}),
        ("drips", {"total": timedelta(seconds=0.2)}),
    ],
)
async def test_slow_servers_time_out(serve, tmp_path, path: str, limits: dict[str, timedelta]) -> None:
    """Silence, a stall and a drip that never stalls all end in a timeout that may pass later."""
    _, origin = await serve()
    error = await refused(fetcher(**limits), f"{origin}/{path}", tmp_path)
    assert isinstance(error, Unavailable)
    assert error.code == "timeout"


async def test_a_gzip_bomb_is_not_unpacked(serve, tmp_path) -> None:
    """A compressed answer is refused: nobody asked for one."""
    _, origin = await serve()
    error = await refused(fetcher(), f"{origin}/bomb", tmp_path)
    assert error.code == "http_error"
    assert "gzip" in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (204, Rejected, "http_error"),
        (206, Rejected, "http_error"),
        (304, Rejected, "http_error"),
        (400, Rejected, "http_error"),
        (401, Rejected, "http_error"),
        (403, Rejected, "http_error"),
        (404, Rejected, "not_found"),
        (410, Rejected, "not_found"),
        (429, Unavailable, "upstream_error"),
        (500, Unavailable, "upstream_error"),
        (503, Unavailable, "upstream_error"),
    ],
)
async def test_statuses(serve, tmp_path, status: int, kind: type, code: str) -> None:
    """Every status is sorted by remedy and named in the message."""
    _, origin = await serve()
    error = await refused(fetcher(), f"{origin}/status/{status}", tmp_path)
    assert type(error) is kind
    assert error.code == code
    assert str(status) in str(error)


async def test_a_body_that_breaks_off(serve, tmp_path) -> None:
    """A connection that closes before the announced length is worth another try."""
    _, origin = await serve()
    error = await refused(fetcher(), f"{origin}/short", tmp_path)
    assert isinstance(error, Unavailable)
    assert error.code == "unreachable"


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_something_that_does_not_speak_http(tmp_path, words: bytes) -> None:
    """A server that closes, speaks another protocol or sends absurd headers is unreachable, not a crash."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(words)
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        error = await refused(fetcher(), f"http://127.0.0.1:{port}/", tmp_path)
    assert error.code == "unreachable"


async def test_nobody_listens(tmp_path, unused_tcp_port: int) -> None:
    """A refused connection may pass."""
    error = await refused(fetcher(), f"http://127.0.0.1:{unused_tcp_port}/a.mp4", tmp_path)
    assert isinstance(error, Unavailable)
    assert error.code == "unreachable"


async def test_a_name_that_is_not_found(tmp_path) -> None:
    """A name without an address may be a passing fault of the resolver; the message names the host."""

    async def resolve(host: str, port: int) -> list[str]:
        raise OSError("Name or service not known")

    error = await refused(fetcher(resolve=resolve), "http://nowhere.example/a.mp4", tmp_path)
    assert isinstance(error, Unavailable)
    assert error.code == "unreachable"
    assert "nowhere.example" in str(error)


async def test_five_redirects_and_no_more(serve, tmp_path) -> None:
    """Five redirects are followed, the sixth is not."""
    _, origin = await serve()
    assert (await fetcher().fetch(f"{origin}/hops/5", tmp_path)).stat().st_size == 300_000
    for path in tmp_path.iterdir():
        path.unlink()
    error = await refused(fetcher(), f"{origin}/hops/6", tmp_path)
    assert error.code == "http_error"


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://10.0.0.1/a.mp4", "forbidden_address"),
        ("//169.254.169.254/latest/meta-data/", "forbidden_address"),
        ("http://[::1]/a.mp4", "forbidden_address"),
        ("http://2130706433/a.mp4", "forbidden_address"),
        ("file:///etc/passwd", "bad_url"),
        ("http://me:pw@example.com/", "bad_url"),
        ("http://[", "http_error"),
        ("", "http_error"),
    ],
)
async def test_a_redirect_is_checked_like_the_first_link(serve, tmp_path, location: str, code: str) -> None:
    """A public link cannot lead to a private address or another protocol in a second step."""
    stranger, origin = await serve()
    stranger.elsewhere = location
    error = await refused(fetcher(), f"{origin}/out", tmp_path)
    assert isinstance(error, Rejected)
    assert error.code == code


async def test_a_redirect_to_a_private_server_reaches_nobody(serve, tmp_path) -> None:
    """The private server behind a redirect never sees a connection."""
    public, origin = await serve()
    private, public.elsewhere = await serve("127.0.0.2")
    error = await refused(fetcher(), f"{origin}/out", tmp_path)
    assert error.code == "forbidden_address"
    assert private.requests == []


async def test_rebinding_is_harmless(serve, tmp_path) -> None:
    """A name that turns private after the check is not asked again: the checked address is the one connected to."""
    public, origin = await serve()
    port = int(origin.rpartition(":")[2])
    private, _ = await serve("127.0.0.2", port)
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    fetch = fetcher(resolve=resolve)
    await fetch.fetch(f"http://rebinding.example:{port}/file", tmp_path)
    assert asked == ["rebinding.example"]
    assert (len(public.requests), len(private.requests)) == (1, 0)
    with pytest.raises(Rejected, match="private network"):
        await fetch.fetch(f"http://rebinding.example:{port}/file", tmp_path)
    assert private.requests == []


async def test_rebinding_between_two_hops(serve, tmp_path) -> None:
    """A name that turns private between a redirect and its target is refused at the second hop."""
    public, origin = await serve()
    port = int(origin.rpartition(":")[2])
    private, _ = await serve("127.0.0.2", port)
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])

    async def resolve(host: str, port: int) -> list[str]:
        return next(answers)

    error = await refused(fetcher(resolve=resolve), f"http://rebinding.example:{port}/hops/1", tmp_path)
    assert error.code == "forbidden_address"
    assert (len(public.requests), len(private.requests)) == (1, 0)


async def test_a_cancelled_fetch_leaves_nothing(serve, tmp_path) -> None:
    """Cancelling in the middle of a body removes the half file."""
    _, origin = await serve()
    task = asyncio.create_task(fetcher(max_bytes=10**10).fetch(f"{origin}/endless", tmp_path))
    while not any(path.stat().st_size for path in tmp_path.iterdir()):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_is_gone(serve, tmp_path) -> None:
    """A disk that cannot take the file is the worker's trouble, not the user's."""
    _, origin = await serve()
    with pytest.raises(Unavailable, match="on its disk") as caught:
        await fetcher().fetch(f"{origin}/file", tmp_path / "gone")
    assert caught.value.code == "no_disk"


OBJECT = "/storage/v1/object/public/uploads/a/video.mp4"


async def test_our_own_storage_may_be_private(serve, tmp_path) -> None:
    """A public object of our own project is fetched although the project stands on loopback."""
    stranger, origin = await serve("127.0.0.2")
    await HttpFetcher(supabase_url=f"{origin}/").fetch(f"{origin}{OBJECT}?download=1", tmp_path)
    assert [str(request.rel_url) for request in stranger.requests] == [f"{OBJECT}?download=1"]


@pytest.mark.parametrize(
    "path",
    [
        "/file",
        "/storage/v1/object/sign/uploads/a.mp4",
        "/storage/v1/object/public/private/a.mp4",
        "/storage/v1/object/public/uploads",
        "/storage/v1/object/public/uploads/",
        "/storage/v1/object/public/uploads/../../../../file",
        "/storage/v1/object/public/uploads/%2e%2e/%2E%2E/file",
        "/storage/v1/object/public/uploads/..%2f..%2ffile",
        "/storage/v1/object/public/uploads/%252e%252e/file",
        "/storage/v1/object/public/uploads/..%5cfile",
        "/storage/v1/object/public/uploads//file",
        "/storage/v1/object/public/uploads/./file",
        "/storage/v1/object/public/uploads/a%00b",
        "/storage/v1/object/public/uploads%2fa.mp4",
        "/STORAGE/v1/object/public/uploads/a.mp4",
    ],
)
async def test_the_exception_is_exact(serve, tmp_path, path: str) -> None:
    """Anything else on the project's private origin is as forbidden as any private address."""
    stranger, origin = await serve("127.0.0.2")
    error = await refused(HttpFetcher(supabase_url=origin), origin + path, tmp_path)
    assert error.code == "forbidden_address"
    assert stranger.requests == []


async def test_the_exception_is_for_one_origin(serve, tmp_path) -> None:
    """Another port, another scheme or a user name in front of the project's origin is not the project's origin."""
    stranger, origin = await serve("127.0.0.2")
    fetch = HttpFetcher(supabase_url=origin)
    for url in (
        f"{origin}1{OBJECT}",
        f"https{origin[4:]}{OBJECT}",
        f"http://127.0.0.2{OBJECT}",
        f"http://x@{origin[7:]}{OBJECT}",
    ):
        assert (await refused(fetch, url, tmp_path)).code in {"forbidden_address", "bad_url"}
    assert stranger.requests == []


async def test_no_redirect_out_of_our_storage(tmp_path) -> None:
    """Our storage cannot send the worker anywhere, not even to another object."""
    seen: list[str] = []

    async def redirect(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=302, headers={"Location": OBJECT.replace("video", "other")})

    app = web.Application()
    app.router.add_get("/{path:.*}", redirect)
    async with TestServer(app) as server:
        origin = f"http://127.0.0.1:{server.port}"
        error = await refused(HttpFetcher(supabase_url=origin), origin + OBJECT, tmp_path)
    assert error.code == "forbidden_address"
    assert seen == [OBJECT]


async def test_a_stranger_cannot_redirect_into_our_private_storage(serve, tmp_path) -> None:
    """The exception holds for the link of the job, not for a stranger's redirect."""
    public, origin = await serve()
    ours, ours_origin = await serve("127.0.0.2")
    public.elsewhere = ours_origin + OBJECT
    error = await refused(fetcher(supabase_url=ours_origin), f"{origin}/out", tmp_path)
    assert error.code == "forbidden_address"
    assert ours.requests == []


async def test_loopback_is_forbidden_by_default(serve, tmp_path) -> None:
    """Without any seam in use, a name that leads to this machine is refused."""
    stranger, origin = await serve()
    error = await refused(HttpFetcher(), origin.replace("127.0.0.1", "localhost") + "/file", tmp_path)
    assert error.code == "forbidden_address"
    assert stranger.requests == []
    assert isinstance(error.__cause__, aiohttp.ClientError | None)
