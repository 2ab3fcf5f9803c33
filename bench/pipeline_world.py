"""What the pipeline's bench runs in: a real Postgres, the local gateway as Storage, a VLM that answers after three seconds."""

from __future__ import annotations

import asyncio
import json
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
from aiohttp import web

from rhythmai.local.postgres import Postgres
from supabase_standin import BASELINE
from supabase_standin.gateway import Gateway, GatewaySettings
from worker.fetch import HttpFetcher
from worker.jobs import PostgresQueue
from worker.mastering_pool import MasteringPool
from worker.pipeline.direct.describe import OpenAIDescriber
from worker.storage import SupabaseStorage

MIGRATIONS = Path(__file__).parent.parent / "supabase" / "migrations"
ANSWER_S = 3.0
KEY = "sb_secret_bench"


class VLM:
    """An OpenAI-compatible endpoint over a socket: it reads what it is sent and answers after `answer_s`."""

    def __init__(self, answer_s: float = ANSWER_S) -> None:
        self.answer_s = answer_s

    async def complete(self, request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(self.answer_s)
        genres = ("ambient", "jazz", "rock")
        directions = [
            {
                "title": f"Title {genre}", "genre": genre, "instruments": ["piano", "strings"], "tempo_bpm": 80 + 12 * i,
                "dynamics": "grows slowly", "mood": "calm", "key": ("D minor", "C major", "A minor")[i],
                "placement": "Follows the picture.", "caption": "slow warm pads",
            }
            for i, genre in enumerate(genres)
        ]  # fmt: skip
        message = {"role": "assistant", "content": json.dumps({"directions": directions})}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response(
            {"id": "1", "object": "chat.completion", "created": 1, "model": "bench", "choices": [choice]}
        )


@dataclass(slots=True, kw_only=True)
class World:
    """Where everything is."""

    db: asyncpg.Connection
    queue: PostgresQueue
    storage: SupabaseStorage
    fetcher: HttpFetcher
    describer: OpenAIDescriber
    mastering_pool: MasteringPool
    folder: Path

    async def upload(self, film: Path) -> str:
        """A copy with a box of its own at its end: no two films are the same one."""
        data = await asyncio.to_thread(film.read_bytes) + b"\x00\x00\x00\x10free" + secrets.token_bytes(8)
        return await self.storage.put("uploads", f"{secrets.token_hex(16)}/film.mp4", data, "video/mp4")

    async def insert(self, video_url: str) -> Any:
        return await self.db.fetchval("insert into public.jobs (video_url) values ($1) returning id", video_url)

    async def empty(self) -> None:
        await self.db.execute("truncate public.jobs cascade")


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rhythmai-bench-")))
        await asyncio.to_thread(folder.chmod, 0o755)
        server = Postgres(folder / "data", password=secrets.token_hex(8), careless=True)
        await asyncio.to_thread(server.start)
        stack.push_async_callback(asyncio.to_thread, server.stop)
        db = await asyncpg.connect(server.url())
        stack.push_async_callback(db.close)
        for file in [BASELINE, *sorted(MIGRATIONS.glob("*.sql"))]:
            await db.execute(file.read_text())
        settings = GatewaySettings(
            port=0, database_url=server.url(), jwt_secret="j" * 40, secret_key=KEY, publishable_key="sb_publishable_bench",
            storage_dir=folder / "storage",
        )  # fmt: skip
        gateway = await stack.enter_async_context(Gateway(settings))
        gateway_url = f"http://127.0.0.1:{gateway.port}"
        storage = SupabaseStorage(gateway_url, KEY)
        stack.push_async_callback(storage.close)
        queue = await PostgresQueue.connect(
            server.url(), name="bench", kinds=("generate",), engines=("mmaudio",), version="0",
            lease=timedelta(minutes=5), job_timeout=timedelta(minutes=30),
        )  # fmt: skip
        stack.push_async_callback(queue.close)
        await queue.ready("bench")
        mastering_pool = MasteringPool()
        stack.callback(mastering_pool.shutdown)
        mastering_pool.open()
        work = folder / "work"
        work.mkdir()
        describer = OpenAIDescriber(api_key="k", base_url=await _vlm(stack), model="bench")
        stack.push_async_callback(describer.aclose)
        yield World(
            db=db,
            queue=queue,
            storage=storage,
            fetcher=HttpFetcher(supabase_url=gateway_url),
            describer=describer,
            mastering_pool=mastering_pool,
            folder=work,
        )


async def _vlm(stack: AsyncExitStack) -> str:
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post("/v1/chat/completions", VLM().complete)
    runner = web.AppRunner(app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
