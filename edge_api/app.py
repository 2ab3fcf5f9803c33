"""Puts the API together from its settings: one place to see what it is made of."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from edge_api.auth import Authenticator, ProjectKeys
from edge_api.body import MAX_BODY_BYTES
from edge_api.connections import MOST, RESERVED, Connections
from edge_api.contract import contract
from edge_api.cors import Cors
from edge_api.database import Database
from edge_api.metrics import Metrics
from edge_api.page import STATIC, add_page
from edge_api.routes import Routes
from edge_api.server import Handler, Runner, plain
from edge_api.settings import Settings
from edge_api.uploads import Uploads
from edge_api.watch import Watches
from rhythmai.project.trace import Tracer, untraced


def make_runner(
    settings: Settings,
    database: Database,
    metrics: Metrics,
    *,
    files: int = 1024,
    tracer: Tracer = untraced,
    static: Path = STATIC,
) -> web.AppRunner:
    """The API, ready to listen, for a process that may have so many files open. It closes the database at its end."""
    connections = Connections(min(MOST, files - RESERVED), trusted=settings.trusted_proxies)
    watches = Watches(database, limit=connections.most * 3 // 4, per_client=settings.streams_per_client)
    uploads = Uploads(settings.origin, settings.supabase_key, database, apikey=settings.apikey)
    authenticator = Authenticator(
        ProjectKeys(settings.origin, settings.jwt_secret),
        database.key_of,
        publishable_key=settings.supabase_publishable_key,
        require_auth=settings.require_auth,
    )
    routes = Routes(
        database, watches, uploads, authenticator, trusted=settings.trusted_proxies, merge_wait_s=settings.merge_wait_s
    )

    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[plain, _preflights])
    routes.add_to(app)
    app.router.add_get("/openapi.json", _describing(json.dumps(contract(), ensure_ascii=False)))
    add_page(app, settings, database, static)

    async def end_watches(_: web.Application) -> None:
        watches.close()

    async def clients(_: web.Application) -> AsyncIterator[None]:
        yield
        await uploads.close()
        await database.close()

    app.on_shutdown.append(end_watches)
    app.cleanup_ctx.append(clients)
    cors = Cors(settings.cors_origins)
    return Runner(
        app, public_url=settings.public_url, cors=cors, metrics=metrics, connections=connections, tracer=tracer
    )


@web.middleware
async def _preflights(request: web.Request, handler: Handler) -> web.StreamResponse:
    return Cors.preflight() if Cors.is_preflight(request) else await handler(request)


def _describing(text: str) -> Handler:
    async def openapi(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="application/json")

    return openapi
