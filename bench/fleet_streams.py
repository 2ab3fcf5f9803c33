"""What event streams of jobs with which nothing happens cost Postgres and the API."""

from __future__ import annotations

import asyncio
import statistics
from contextlib import AsyncExitStack

import aiohttp
import asyncpg
import psutil

from bench.fleet_tree import Tree, processor_s

STREAMS = 1000
STREAMS_EACH = 10
"""Of one client; the clients are addresses of loopback."""
ROUNDS = 2
SECONDS = 15


async def measure(trees: list[Tree]) -> None:
    shares: dict[str, list[tuple[float, float]]] = {tree.name: [] for tree in trees}
    opened = {tree.name: await tree.migrated() for tree in trees}
    for _ in range(ROUNDS):
        for tree in trees:
            shares[tree.name].append(await quiet_streams(tree, opened[tree.name]))
    for name, found in shares.items():
        postgres, api = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{STREAMS} quiet streams, {name}: {postgres:.1%} of a core of Postgres, {api:.1%} of the API's")
    for db in opened.values():
        await db.close()


async def quiet_streams(tree: Tree, db: asyncpg.Connection) -> tuple[float, float]:
    """Shares of a core of Postgres and of the API."""
    server = psutil.Process(tree.server.pid)
    jobs = [
        row[0]
        for row in await db.fetch(
            "insert into public.jobs (video_url, tenant) select 'https://example.com/v.mp4', 't' || i "
            "from generate_series(1, $1) i returning id",
            STREAMS,
        )
    ]
    async with tree.runs("-m", "edge_api") as (url, api), AsyncExitStack() as stack:
        for first in range(0, len(jobs), STREAMS_EACH):
            connector = aiohttp.TCPConnector(
                local_addr=(f"127.1.{first // 2500}.{first // STREAMS_EACH % 250 + 1}", 0), limit=0
            )
            client = await stack.enter_async_context(
                aiohttp.ClientSession(url, connector=connector, timeout=aiohttp.ClientTimeout(total=None))
            )
            for job in jobs[first : first + STREAMS_EACH]:
                answer = await stack.enter_async_context(client.get(f"/api/v1/job/{job}/events"))
                assert answer.status == 200, answer.status
        await asyncio.sleep(5)  # pauses have grown to what they stay at
        before = processor_s(server), processor_s(api)
        await asyncio.sleep(SECONDS)
        spent = processor_s(server) - before[0], processor_s(api) - before[1]
    await db.execute("truncate public.jobs cascade")
    return spent[0] / SECONDS, spent[1] / SECONDS
