"""The outermost shell: every answer, even to what is not HTTP, is one of ours, with its headers and one log line."""

from __future__ import annotations

import re
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from aiohttp import web

from edge_api.connections import Connections, Door
from edge_api.cors import Cors
from edge_api.metrics import Metrics
from edge_api.origin import origin_of
from edge_api.problems import Problem, of_http
from rhythmai.project import trace

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
KEEPALIVE_S: Final = 65
"""Longer than the usual load balancer's; also the time a client has for its first headers."""
GRACE_S: Final = 10
REQUEST_ID: Final = web.RequestKey("request_id", str)
ORIGIN: Final = web.RequestKey("origin", str)
"""What stands before `/api/v1` in the addresses of its answer."""
TRACEPARENT: Final = web.RequestKey("traceparent", str)
"""What the job of this request takes as its own."""
NOT_HTTP: Final = "This is not an HTTP/1.1 request that this server can read"
_HOST: Final = re.compile(r"[A-Za-z0-9._:\[\]-]*")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.-]{8,64}")
_HEADERS: Final = {
    "Server": "RhythmAI",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # job ids stand in addresses
}


class Runner(web.AppRunner):
    """An AppRunner whose connections speak problem JSON when the parser gives up, and whose handler never raises."""

    def __init__(
        self,
        app: web.Application,
        *,
        public_url: str = "",
        cors: Cors,
        metrics: Metrics,
        connections: Connections,
        tracer: trace.Tracer = trace.untraced,
        keepalive_s: float = KEEPALIVE_S,
    ) -> None:
        super().__init__(
            app,
            access_log=None,
            auto_decompress=False,  # no body is large enough to be worth a decompression bomb
            keepalive_timeout=keepalive_s,
            shutdown_timeout=GRACE_S,
        )
        self._public_url = public_url
        self._cors = cors
        self._metrics = metrics
        self._connections = connections
        self._tracer = tracer
        app.on_response_prepare.append(self._dress)

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(
            self._connections,
            _answering(server.request_handler, self._public_url, self._metrics, self._tracer),
            request_factory=server.request_factory,
            handler_cancellation=True,  # nobody waits for a merge whose client has gone
            **server._kwargs,  # noqa: SLF001
        )

    async def _dress(self, request: web.Request, response: web.StreamResponse) -> None:
        self._cors.allow(request, response)
        cache = response.headers.get("Cache-Control", _HEADERS["Cache-Control"])
        response.headers.update({**_HEADERS, "Cache-Control": cache, "X-Request-Id": request[REQUEST_ID]})


class _Server(web.Server):
    def __init__(self, connections: Connections, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._guests = connections

    def __call__(self) -> Door:  # type: ignore[override]
        return Door(self._guests, lambda leave: _Connection(leave, self, loop=self._loop, **self._kwargs))


class _Connection(web.RequestHandler):
    __slots__ = ("_leave",)

    def __init__(self, leave: Callable[[], None], *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._leave = leave

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._leave()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is not HTTP: answer once, in our words, and close."""
        if request.writer.output_size > 0:
            raise ConnectionResetError("the answer had begun already")
        request_id = secrets.token_hex(16)
        log.info("request.malformed", error=type(exc).__name__, request_id=request_id)
        response = Problem("bad_request", NOT_HTTP).response()
        response.headers.update({**_HEADERS, "X-Request-Id": request_id})
        response.force_close()
        return response


@web.middleware
async def plain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a Host that is none, and escapes in a path: no address here has anything to escape."""
    if not _HOST.fullmatch(request.headers.get("Host", "")):
        raise Problem("bad_request", NOT_HTTP)
    if "%" in request.raw_path.partition("?")[0]:
        raise web.HTTPNotFound
    return await handler(request)


def _answering(inner: Handler, public_url: str, metrics: Metrics, tracer: trace.Tracer) -> Handler:
    """Wrap the application's handler: translate what it raises, log, count and trace what it answers."""

    async def handle(request: web.Request) -> web.StreamResponse:
        # Twice is none: a comma is not of the shape.
        parent = trace.taken(", ".join(request.headers.getall(trace.HEADER, [])))
        with tracer(
            "request", parent=parent, kind="server", attributes={"http.request.method": request.method}
        ) as span:
            request[TRACEPARENT] = span.traceparent
            request[ORIGIN] = origin_of(request, public_url)
            trace_id = trace.trace_id(span.traceparent)
            asked = request.headers.get("X-Request-Id", "")
            request[REQUEST_ID] = asked if _REQUEST_ID.fullmatch(asked) else trace_id
            with structlog.contextvars.bound_contextvars(trace_id=trace_id, request_id=request[REQUEST_ID]):
                response = await answered(request)
            route = _route(request)
            span.called(f"{request.method} {route}")
            span.tell({"http.route": route, "http.response.status_code": response.status})
            if response.status >= 500:
                span.fail(str(response.status))
            return response

    async def answered(request: web.Request) -> web.StreamResponse:
        began = time.perf_counter()
        try:
            response = await inner(request)
        except Problem as problem:
            response = problem.response(request[ORIGIN])
        except web.HTTPException as error:
            response = of_http(error).response(request[ORIGIN])
        except Exception as error:
            if request.writer.output_size > 0:
                raise ConnectionResetError("the answer had begun already") from error
            # The traceback's lines are code; the message may hold a user's words and stays out.
            where = traceback.format_tb(error.__traceback__)[-3:]
            log.error("request.broke", error=type(error).__name__, where=where)  # noqa: TRY400
            response = of_http(web.HTTPInternalServerError()).response(request[ORIGIN])
        seconds = time.perf_counter() - began
        route = _route(request)
        metrics.count(method=request.method, route=route, status=response.status, seconds=seconds)
        log.info(
            "request",
            method=request.method,
            route=route,
            status=response.status,
            ms=round(seconds * 1000, 1),
        )
        return response

    return handle


def _route(request: web.Request) -> str:
    """The pattern that matched, never the path: an id in it is a secret."""
    match: Any = request._match_info  # noqa: SLF001
    if match is None or match.http_exception is not None or match.route.resource is None:
        return "unmatched"
    canonical: str = match.route.resource.canonical
    return canonical
