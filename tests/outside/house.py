"""The whole house in this process: API, worker and webhooks over one database, and somebody who takes the webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import aiohttp
from aiohttp import web

from edge_api.app import make_runner
from edge_api.database import Database
from edge_api.metrics import Metrics as ApiMetrics
from edge_api.settings import Settings
from rhythmai.project.trace import untraced
from tests.api.conftest import listening
from tests.contract.keys import SECRET
from tests.worker.whole_worker import running_worker
from worker.metrics import Metrics
from worker.webhooks import Webhooks


@dataclass
class House:
    """Addresses, and what came out."""

    api: str = ""
    api_metrics: str = ""
    worker_metrics: str = ""
    metrics: Metrics = field(default_factory=Metrics)
    heard: asyncio.Queue[dict[str, str]] = field(default_factory=asyncio.Queue)
    """Headers of the webhooks."""

    async def submit(self, video: bytes, **headers: str) -> tuple[str, dict[str, str]]:
        """A job from its request to its webhook: its id and the webhook's headers."""
        body = {"video_url": await self.box.upload(video), "variants": 2, "callback_url": f"{self.receiver}/hook"}
        async with (
            aiohttp.ClientSession(self.api) as session,
            session.post("/api/v1/gen", json=body, headers=headers) as answer,
        ):
            assert answer.status == 200, await answer.text()
            job_id = (await answer.json())["job_id"]
        return job_id, await asyncio.wait_for(self.heard.get(), 60)

    async def take(self, request: web.Request) -> web.Response:
        self.heard.put_nowait(dict(request.headers))
        return web.Response(status=204)


@asynccontextmanager
async def running_house(database_url, queue, gateway, folder, tracer=untraced) -> AsyncIterator[House]:
    """Yields the house with its `.box`."""
    house = House()
    async with AsyncExitStack() as stack:
        app = web.Application()
        app.router.add_post("/hook", house.take)
        house.receiver = await listening(stack, web.AppRunner(app))
        settings = Settings(
            _env_file=None, supabase_url=gateway.url, supabase_key=gateway.key, database_url=database_url, jwt_secret=SECRET
        )  # fmt: skip
        database, api_metrics = await Database.open(database_url, tracer=tracer), ApiMetrics()
        house.api = await listening(stack, make_runner(settings, database, api_metrics, tracer=tracer))
        house.api_metrics = await listening(stack, web.AppRunner(api_metrics.app(database.gauges)))
        port = stack.enter_context(house.metrics.served("127.0.0.1", 0))
        house.worker_metrics = f"http://127.0.0.1:{port}"
        worker = running_worker(
            database_url, queue, gateway, folder / "work", observe=house.metrics.ended, tracer=tracer, engine="sketch 1"
        )
        house.box = await stack.enter_async_context(worker)
        house.metrics.ready(lambda: house.box.listener.running)
        webhooks = Webhooks(
            outbox=queue, policy=lambda address: None, tracer=tracer, poll_every=timedelta(milliseconds=100)
        )
        sending = asyncio.create_task(webhooks.run())
        try:
            yield house
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
