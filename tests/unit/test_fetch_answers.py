"""HttpFetcher and servers that are right in a way of their own: what they are asked for, and what is a whole file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.unit.stranger import Names, fetcher, refused
from worker.errors import Rejected

FILM = b"film" * 1250


def answer(*headers: bytes, status: bytes = b"200 OK", body: bytes = FILM) -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@asynccontextmanager
async def server(words: Callable[[bytes], bytes]) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers a request target with these very bytes; gives its origin and the targets it was asked for."""
    targets: list[bytes] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        targets.append(head.split(b" ")[1])
        writer.write(words(targets[-1]))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", limit=2**20) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", targets


async def fetched(words: bytes, into: Path) -> bytes:
    async with server(lambda _: words) as (origin, _):
        return (await fetcher().fetch(f"{origin}/a.mp4", into)).read_bytes()


@pytest.mark.parametrize(
    "words", [b"aws-chunked", b"AWS-Chunked, identity", b"none", b"utf-8", b"binary", b"video/mp4", b"", b"brrr"]
)
async def test_a_content_encoding_that_names_no_compression_is_no_compression(tmp_path: Path, words: bytes) -> None:
    """Storage services keep words there that say nothing about the bytes: the file arrives."""
    assert await fetched(answer(b"Content-Encoding: " + words), tmp_path) == FILM


@pytest.mark.parametrize(
    "words", [b"gzip", b"X-GZIP", b"br", b"aws-chunked,gzip", b"zstd , identity", b"deflate", b"x-deflate", b"brotli"]
)
async def test_a_compression_is_refused_by_its_name(tmp_path: Path, words: bytes) -> None:
    """Nobody asked for packed bytes, and they are not unpacked; several headers are one list."""
    one, two = answer(b"Content-Encoding: " + words), answer(b"Content-Encoding: a", b"Content-Encoding: " + words)
    async with server(lambda target: one if target == b"/one" else two) as (origin, _):
        for name in ("one", "two"):
            error = await refused(fetcher(), f"{origin}/{name}", tmp_path)
            assert (type(error), error.code) == (Rejected, "http_error")
            assert "compressed form" in str(error)


TARGETS = [
    "/It%27s%20%28a%29%7E.mp4?sig=x",
    "/a%2fb/%2F%41/caf%c3%a9.mp4?X-Amz-Signature=%2f%7e+%20&empty=&also",
    "/a'(b)!*;p=1;?q=[1]|{2}^~&r=a/b?c",
    "//double//slash.mp4",
    "/dots/./../kept.mp4?",
    "/100%.mp4",
]


@pytest.mark.parametrize("target", TARGETS)
async def test_a_link_is_asked_for_as_it_is_written(tmp_path: Path, target: str) -> None:
    """Signatures cover the bytes of path and query, so not one of them changes; the fragment stays at home."""
    async with server(lambda _: answer()) as (origin, targets):
        await fetcher().fetch(f"{origin}{target}#t=10", tmp_path)
    assert targets == [target.encode()]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("start", ["http://127.0.0.1:{port}", "HTTP://127.0.0.1:{port}", "//127.0.0.1:{port}", ""])
async def test_a_redirect_is_followed_as_it_is_written(tmp_path: Path, target: str, start: str) -> None:
    """An absolute Location, one without a scheme and one without a host keep their bytes too."""
    if not start and target.startswith("//"):
        target = target[1:]  # two slashes would be a host

    def words(asked: bytes) -> bytes:
        location = start.format(port=origin.rpartition(":")[2]) + target
        return answer(b"Location: " + location.encode(), status=b"302 Found") if asked == b"/start" else answer()

    async with server(words) as (origin, targets):
        await fetcher().fetch(f"{origin}/start", tmp_path)
    assert targets == [b"/start", target.encode()]


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        (b"b%27.mp4?x=%2f", b"/It%27s/b%27.mp4?x=%2f"),
        (b"../b.mp4", b"/b.mp4"),
        (b"?again=%7E", b"/It%27s/start?again=%7E"),
        (b"/caf\xe9.mp4", b"/caf%E9.mp4"),
        ("/café.mp4?é".encode(), b"/caf%C3%A9.mp4?%C3%A9"),
        (b"caf\xe9 \xff.mp4", b"/It%27s/caf%E9%20%FF.mp4"),
        (b"  /spaced out.mp4\t", b"/spaced%20out.mp4"),
        (b"/back\\slash.mp4", b"/back%5Cslash.mp4"),
    ],
)
async def test_no_byte_of_a_location_is_lost(tmp_path: Path, location: bytes, asked: bytes) -> None:
    """A relative Location goes from the folder as it was written, and bytes that no URL may hold are escaped, not dropped."""

    def words(target: bytes) -> bytes:
        return answer(b"Location: " + location, status=b"302 Found") if target == b"/It%27s/start" else answer()

    async with server(words) as (origin, targets):
        await fetcher().fetch(f"{origin}/It%27s/start", tmp_path)
    assert targets == [b"/It%27s/start", asked]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (b"206 Partial Content", [b"Content-Range: bytes 0-4999/5000"]),
        (b"206 Partial Content", [b"Content-Range: Bytes  0-4999/5000 "]),
        (b"203 Non-Authoritative Information", []),
        (b"201 Created", []),
        (b"299 Fine", []),
    ],
)
async def test_every_success_that_brings_the_whole_file_is_one(
    tmp_path: Path, status: bytes, headers: list[bytes]
) -> None:
    """A range that is all of the file, and an answer that went through a proxy, are the file."""
    assert await fetched(answer(*headers, status=status), tmp_path) == FILM


@pytest.mark.parametrize(
    "range_",
    [
        b"bytes 0-4998/5000",
        b"bytes 1-4999/5000",
        b"bytes 0-4999/*",
        b"bytes */5000",
        b"seconds 0-4999/5000",
        b"bytes 0-" + b"9" * 5000 + b"/1",
        b"",
    ],
)
async def test_a_part_of_a_file_is_refused_as_one(tmp_path: Path, range_: bytes) -> None:
    """Music for the first half of a film helps nobody: the message says that it was a part."""
    async with server(lambda _: answer(b"Content-Range: " + range_, status=b"206 Partial Content")) as (origin, _):
        error = await refused(fetcher(), f"{origin}/a.mp4", tmp_path)
    assert (type(error), error.code) == (Rejected, "http_error")
    assert "answered 206" in str(error)
    assert "a part of one" in str(error)


@pytest.mark.parametrize(
    "headers",
    [
        [b"Content-Security-Policy: " + b"a" * 9_000],
        [b"X-Long: " + b"a" * 60_000] * 3,
        [b"X-Many-%d: a" % number for number in range(500)],
        [b"Set-Cookie: a=%d" % number for number in range(200)],
    ],
)
async def test_long_headers_and_many_are_no_reason_to_give_up(tmp_path: Path, headers: list[bytes]) -> None:
    """Policies of content and cookies fill more than a parser of today likes by default."""
    assert await fetched(answer(*headers), tmp_path) == FILM


async def test_a_long_reason_and_a_long_location_are_read(tmp_path: Path) -> None:
    """A status line of 9,000 bytes and a signed link of 9,000 bytes are long, and nothing else."""
    assert await fetched(answer(status=b"200 " + b"O" * 9_000), tmp_path) == FILM
    long = b"/" + b"a" * 9_000

    def words(target: bytes) -> bytes:
        return answer(b"Location: " + long, status=b"302 Found") if target == b"/start" else answer()

    async with server(words) as (origin, targets):
        await fetcher().fetch(f"{origin}/start", tmp_path)
    assert targets[-1] == long


async def test_a_host_of_another_script_is_found_after_a_redirect_too(tmp_path: Path) -> None:
    """Names outside of ASCII are asked for as DNS knows them, whatever the redirect's bytes look like."""
    asked: list[str] = []

    async def resolve(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    def words(target: bytes) -> bytes:
        location = f"http://bücher.example:{origin.rpartition(':')[2]}/ü".encode()
        return answer(b"Location: " + location, status=b"302 Found") if target == b"/start" else answer()

    async with server(words) as (origin, targets):
        await fetcher(resolver=Names(resolve)).fetch(f"{origin}/start", tmp_path)
    assert (asked, targets) == (["xn--bcher-kva.example"], [b"/start", b"/%C3%BC"])
