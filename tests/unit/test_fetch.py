"""HttpFetcher and what servers may answer: limits, timeouts, statuses, broken connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.unit.stranger import MEGABYTE, Names, Start, fetcher, refused, strangers
from worker.errors import Rejected, Unavailable


@pytest.fixture
async def serve() -> AsyncIterator[Start]:
    async with strangers() as start:
        yield start


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
    assert str(error).isascii()


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

    error = await refused(fetcher(resolver=Names(resolve)), "http://nowhere.example/a.mp4", tmp_path)
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
