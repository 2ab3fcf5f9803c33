"""The front port: Realtime, Storage, and whatever API stands behind them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import asyncpg
from aiohttp import web

from supabase_standin.authentication import ProjectKeys
from supabase_standin.database import CONNECTION_ERRORS, Database
from supabase_standin.origins import allow_origins, check_host, expose_origin
from supabase_standin.proxy import Proxy
from supabase_standin.realtime.limits import Limits
from supabase_standin.realtime.project import Project
from supabase_standin.realtime.routes import Routes
from supabase_standin.storage.files import Files
from supabase_standin.storage.routes import StorageRoutes

log = logging.getLogger("supabase_standin.gateway")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """What the environment says."""

    host: str = "127.0.0.1"
    port: int = 54321
    database_url: str
    jwt_secret: str
    secret_key: str
    publishable_key: str
    storage_dir: Path
    file_size_limit: int = 50 * 2**30
    """The project's own: no object has more bytes."""
    api_upstream: str | None = None
    """Where everything else goes; None answers it with 404."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Raises KeyError naming the missing variable."""
        return cls(
            host=environment.get("GATEWAY_HOST", "127.0.0.1"),
            port=int(environment.get("GATEWAY_PORT", "54321")),
            database_url=environment["DATABASE_URL"],
            jwt_secret=environment["JWT_SECRET"],
            secret_key=environment["SUPABASE_KEY"],
            publishable_key=environment["SUPABASE_PUBLISHABLE_KEY"],
            storage_dir=Path(environment["STORAGE_DIR"]),
            file_size_limit=int(environment.get("FILE_SIZE_LIMIT", 50 * 2**30)),
            api_upstream=environment.get("API_UPSTREAM") or None,
        )


class Gateway:
    """The running gateway: `async with Gateway(settings) as gateway: ... gateway.port`."""

    def __init__(self, settings: GatewaySettings, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
        self._settings = settings
        self.port = settings.port
        keys = ProjectKeys(settings.jwt_secret, settings.secret_key, settings.publishable_key)
        self._database = Database(settings.database_url)
        # What clients can make Postgres compute there, with filters and policies, ends before long.
        self._realtime_database = Database(settings.database_url, statement_timeout_s=limits.statement_s)
        self._project = Project(self._realtime_database, keys, limits)
        self._files = Files(settings.storage_dir)
        app = web.Application(middlewares=[check_host, allow_origins], client_max_size=limits.frame_bytes)
        app.on_response_prepare.append(expose_origin)
        Routes(self._project).add_to(app)
        StorageRoutes(self._database, keys, self._files, settings.file_size_limit).add_to(app)
        if settings.api_upstream:
            proxy = Proxy(settings.api_upstream)
            app.cleanup_ctx.append(proxy.connected)
            app.router.add_route("*", "/{path:.*}", proxy.forward)
        else:
            app.router.add_route("*", "/{path:.*}", _nothing_here)
        self._app = app
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await asyncio.to_thread(self._files.open)
            stack.push_async_callback(self._database.close)
            stack.push_async_callback(self._realtime_database.close)
            await self._open_databases()
            listener = socket.create_server((self._settings.host, self._settings.port))
            self.port = listener.getsockname()[1]
            # A handler whose client has gone is cancelled: half an upload is thrown away, an event stream let go.
            runner = web.AppRunner(self._app, handler_cancellation=True, access_log=None, shutdown_timeout=5)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.SockSite(runner, listener).start()
            for task in (self._project.broadcast_feed.run(), self._project.change_feed.run(), self._keep_partitions()):
                stack.push_async_callback(_stopped, asyncio.create_task(task))
            stack.push_async_callback(self._project.close)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _open_databases(self) -> None:
        """Waits for Postgres, which may start beside us."""
        while True:
            try:
                for database in (self._database, self._realtime_database):
                    await database.open()
                await self._project.open()
            except CONNECTION_ERRORS as error:
                log.warning("gateway.waiting: Postgres does not answer yet: %s", error)
                await asyncio.sleep(0.5)
            else:
                return

    async def _keep_partitions(self) -> None:
        while True:
            with contextlib.suppress(*CONNECTION_ERRORS, asyncpg.PostgresError):
                async with self._database.transaction() as connection:
                    await connection.execute("select realtime.keep_partitions()")
            await asyncio.sleep(300)  # a laptop that slept for days wakes without today's


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _nothing_here(request: web.Request) -> web.Response:
    message = (
        f"{request.path} is neither Realtime's nor Storage's, and API_UPSTREAM is not set, where all else would go"
    )
    return web.json_response({"message": message}, status=404)
