"""HttpFetcher and where it may be led: redirects, rebinding, our own storage and nothing else of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.unit.stranger import Names, Start, fetcher, refused, strangers
from worker.errors import Rejected
from worker.fetch import HttpFetcher


@pytest.fixture
async def serve() -> AsyncIterator[Start]:
    async with strangers() as start:
        yield start


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

    fetch = fetcher(resolver=Names(resolve))
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

    error = await refused(fetcher(resolver=Names(resolve)), f"http://rebinding.example:{port}/hops/1", tmp_path)
    assert error.code == "forbidden_address"
    assert (len(public.requests), len(private.requests)) == (1, 0)


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
