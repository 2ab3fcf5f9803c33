"""CORS: which pages may call. Never with credentials: tokens travel in the Authorization header."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import hdrs, web

HEADERS: Final = (
    "authorization, apikey, content-type, idempotency-key, last-event-id, prefer, traceparent, tracestate,"
    " x-client-info, x-request-id"
)
EXPOSED: Final = "location, preference-applied, retry-after, x-request-id"
METHODS: Final = "GET, POST, DELETE"
MAX_AGE_S: Final = 7200
"""The longest that browsers remember."""


class Cors:
    """`origins` are exact, or `*` alone for all."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)

    def allow(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Mark a response for the page that asked."""
        if "*" in self._origins:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
        else:
            response.headers.add(hdrs.VARY, "Origin")
            origin = request.headers.get(hdrs.ORIGIN)
            if origin not in self._origins:
                return
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED

    @staticmethod
    def is_preflight(request: web.BaseRequest) -> bool:
        return (
            request.method == hdrs.METH_OPTIONS
            and hdrs.ORIGIN in request.headers
            and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        )

    @staticmethod
    def preflight() -> web.Response:
        return web.Response(
            status=204,
            headers={
                hdrs.ACCESS_CONTROL_ALLOW_METHODS: METHODS,
                hdrs.ACCESS_CONTROL_ALLOW_HEADERS: HEADERS,
                hdrs.ACCESS_CONTROL_MAX_AGE: str(MAX_AGE_S),
            },
        )
