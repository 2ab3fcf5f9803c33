"""Prometheus metrics, on a port of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from edge_api.gauges import QueueGauges
from edge_api.problems import Problem

PATIENCE_S: Final = 5
"""How long a scrape waits for the database: Prometheus gives up after ten seconds, and would lose the rest as well."""


class Metrics:
    """Counts requests by route, never by path: job ids are secrets and would be labels without end.

    The state of the queue is asked of the database at each scrape, by one call.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "rhythmai_api_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "rhythmai_api_request_seconds", "Time to the end of the answer.", ["route"], registry=self._registry
        )
        self._queue = QueueGauges()
        self._registry.register(self._queue)

    def count(self, *, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def app(self, ask: Callable[[], Awaitable[dict[str, Any]]]) -> web.Application:
        """GET /metrics; `ask` is `Database.gauges`."""

        async def answer(_: web.Request) -> web.Response:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    self._queue.answer = await ask()
            except (Problem, TimeoutError):
                self._queue.answer = None
            return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

        app = web.Application()
        app.router.add_get("/metrics", answer)
        return app
