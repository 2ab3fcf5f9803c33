"""Everything that is not Realtime or Storage goes to the API, and back, piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
from aiohttp import hdrs, web
from yarl import URL

HOP_BY_HOP = frozenset((
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"
))  # fmt: skip


class Proxy:
    """One upstream; bodies stream both ways, so uploads are not held in memory and events come as they are sent."""

    def __init__(self, upstream: str) -> None:
        self._upstream = URL(upstream)
        self._session: aiohttp.ClientSession

    async def connected(self, _: web.Application) -> AsyncIterator[None]:
        """As long as the gateway runs."""
        async with aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE),
        ) as self._session:
            yield

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Answers 502 problem JSON while the API is away."""
        headers = [
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in HOP_BY_HOP and not name.lower().startswith("x-forwarded-")
        ]
        headers += [
            ("X-Forwarded-For", request.remote or ""),
            ("X-Forwarded-Proto", "http"),
            ("X-Forwarded-Host", request.host),
        ]
        url = URL(f"{self._upstream.origin()}{request.raw_path}", encoded=True)
        body = request.content if request.body_exists else None
        try:
            answer = await self._session.request(request.method, url, headers=headers, data=body, allow_redirects=False)
        except (aiohttp.ClientConnectionError, TimeoutError):
            return _away()
        async with answer:
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            for name, value in answer.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    response.headers.add(name, value)
            await response.prepare(request)
            try:
                async for piece in answer.content.iter_any():
                    await response.write(piece)
                await response.write_eof()
            except (aiohttp.ClientError, ConnectionError):
                # One side is gone in the middle: the other must not take what it has for the whole.
                if request.transport is not None:
                    request.transport.abort()
            return response


def _away() -> web.Response:
    detail = "The API behind this gateway is not running; it may be starting. Try again in a moment."
    problem = {
        "type": "about:blank", "title": "Bad Gateway", "status": 502, "code": "api_unavailable", "detail": detail
    }  # fmt: skip
    return web.json_response(problem, status=502, content_type="application/problem+json")
