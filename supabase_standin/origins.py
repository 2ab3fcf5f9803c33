"""What every request passes: the Host check, and CORS for the gateways' own paths."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOOPBACK_NAME: Final = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)
OWN = ("/realtime/v1/", "/storage/v1/")
RESUMABLE: Final = "/storage/v1/upload/resumable"
"""There OPTIONS has an answer of its own."""


def is_ours(path: str) -> bool:
    """Whether a gateway answers, and not the API behind it."""
    return path.startswith(OWN)


@web.middleware
async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse other names: a page on the internet that resolves its own name to this machine must not reach us.

    Any port will do: a browser sends the one it dialled, and a proxy of yours in front of us may pass on its own.
    """
    if not LOOPBACK_NAME.fullmatch(request.headers.get(hdrs.HOST, "")):
        return web.json_response({"message": "this gateway answers only as 127.0.0.1 or localhost"}, status=421)
    return await handler(request)


@web.middleware
async def allow_origins(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Browsers on any origin may call the gateways, as on a hosted project: keys are what protects."""
    if request.method != hdrs.METH_OPTIONS or not is_ours(request.path):
        return await handler(request)
    headers = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, HEAD, PUT, PATCH, POST, DELETE, OPTIONS",
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "*"),
        hdrs.ACCESS_CONTROL_MAX_AGE: "3600",
    }
    response = await handler(request) if request.path.startswith(RESUMABLE) else web.Response(status=204)
    response.headers.update(headers)
    return response


async def expose_origin(request: web.Request, response: web.StreamResponse) -> None:
    """A signal, not the middleware: files and streams are sent before their handler returns."""
    if is_ours(request.path):
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
