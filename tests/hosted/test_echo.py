"""A worker's ping to itself: the way on which it learns that its Realtime connection still lives."""

from __future__ import annotations

import asyncio

from realtime import AsyncRealtimeClient

from worker.wakeups import private


async def test_the_secret_key_may_ping_itself_on_a_private_channel(gateway):
    """A ping comes back on a private channel of the worker's kind, so that projects without public channels serve."""
    pong = asyncio.Event()
    client = AsyncRealtimeClient(f"{gateway.url}/realtime/v1", gateway.secret)
    await client.connect()
    echo = client.channel("echo:0", private(hears_itself=True))
    await echo.on_broadcast("ping", lambda _: pong.set()).subscribe()
    await echo.send_broadcast("ping", {})
    await asyncio.wait_for(pong.wait(), 20)
    await client.close()
