"""When a local stack can be used: its API answers behind the front port, and a worker is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

import aiohttp
import asyncpg

from rhythmai.errors import NoStack
from rhythmai.local.home import Running
from rhythmai.local.supervisor import Child

READY_S: Final = 90.0
LOOK_S: Final = 0.05
PATIENCE: Final = 3
"""How often a child may die before the start is given up."""


async def until_ready(running: Running, children: Sequence[Child], since: datetime) -> None:
    """Wait for the API behind the front port and for a worker that is ready. Raises NoStack."""
    connection = await asyncpg.connect(running.environment["DATABASE_URL"])
    try:
        async with asyncio.timeout(READY_S), aiohttp.ClientSession() as http:
            await _until(lambda: _answers(http, f"{running.url}/api/v1/ping"), children)
            await _until(lambda: _has_worker(connection, since), children)
    except TimeoutError:
        logs = children[0].log.parent
        raise NoStack(f"The stack is not ready after {READY_S:g} s: its logs in {logs} say why") from None
    finally:
        await connection.close()


async def _until(ready: Callable[[], Awaitable[bool]], children: Sequence[Child]) -> None:
    while not await ready():
        for child in children:
            if child.hopeless or child.failures >= PATIENCE:
                raise NoStack(_why(child))
        await asyncio.sleep(LOOK_S)


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def _has_worker(connection: asyncpg.Connection, since: datetime) -> bool:
    found = await connection.fetchval(
        "select exists (select from public.workers where state = 'ready' and started_at >= $1)", since
    )
    return bool(found)


def _why(child: Child) -> str:
    said = [line for line in child.last_lines if line.strip()]
    return f"The {child.name} does not start: {' / '.join(said[-3:])} (all of it: {child.log})"
