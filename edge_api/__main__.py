"""`python -m edge_api`: reads the environment, listens, stops on SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import sys

import structlog
from aiohttp import web

from edge_api.app import make_runner
from edge_api.connections import descriptors
from edge_api.database import Database, refuse_hopeless
from edge_api.metrics import Metrics
from edge_api.settings import Misconfigured, Settings, read_settings
from rhythmai.project.log import configure
from rhythmai.project.telemetry import traced
from rhythmai.project.trace import Tracer

BACKLOG = 1024


async def listen(runner: web.AppRunner, host: str, port: int) -> int:
    """Start the server; returns the port, which is a free one when 0 was asked for. Raises Misconfigured."""
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
    except OSError as error:
        # "error while attempting to bind on address (...): [errno 98] address ..."; the number is new in Python 3.13.
        said = str(error.strerror).rpartition(": ")[2].rpartition("] ")[2]
        raise Misconfigured(f"Cannot listen on {host}:{port}: {said}; choose another port") from None
    listening: int = runner.addresses[0][1]
    return listening


async def serve(settings: Settings, tracer: Tracer) -> None:
    """Run until told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await refuse_hopeless(str(settings.database_url))
    metrics = Metrics()
    url, commercial_only = str(settings.database_url), settings.commercial_only
    database = await Database.open(url, tracer=tracer, commercial_only=commercial_only)
    api = make_runner(settings, database, metrics, files=descriptors(), tracer=tracer)
    scrape = web.AppRunner(metrics.app(database.gauges), access_log=None)
    try:
        port = await listen(api, settings.api_host, settings.api_port)
        if settings.metrics_port is not None:
            metrics_port = await listen(scrape, settings.metrics_host, settings.metrics_port)
            print(f"Metrics on http://{settings.metrics_host}:{metrics_port}/metrics", flush=True)
        print(f"Listening on http://{settings.api_host}:{port}", flush=True)
        structlog.get_logger().info("api.listening", host=settings.api_host, port=port)
        await stop.wait()
    finally:
        await scrape.cleanup()
        await api.cleanup()


def main() -> int:
    """The exit code: 0 after a stop, 2 when the environment does not do."""
    configure()
    try:
        settings = read_settings()
        with traced("rhythmai-api", settings.traces_to) as tracer:
            asyncio.run(serve(settings, tracer))
    except Misconfigured as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
