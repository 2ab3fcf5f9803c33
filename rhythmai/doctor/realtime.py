"""Realtime: join the private topic of the workers and receive a wake that the database sends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from realtime import AsyncRealtimeClient, RealtimeSubscribeStates

from rhythmai.doctor.finding import KEY, PROJECT, Finding, fail, ok
from rhythmai.errors import RhythmAIError
from rhythmai.target import Target, database
from worker.settings import Settings
from worker.wakeups import CHANNEL, private

CHECK: Final = "realtime"
SWITCH_ON: Final = "Switch Realtime on (dashboard, Realtime, Settings), and check that DATABASE_URL is the same project"
JOIN_S: Final = 15.0
WAKES: Final = 10
"""A subscription is announced one to three seconds before it is live: a wake a second, that many times."""


async def examine(settings: Settings) -> list[Finding]:
    client = AsyncRealtimeClient(f"{settings.origin}/realtime/v1", settings.apikey, auto_reconnect=False, max_retries=1)
    state: asyncio.Future[tuple[RealtimeSubscribeStates, str]] = asyncio.get_running_loop().create_future()
    woken = asyncio.Event()

    def on_state(new: RealtimeSubscribeStates, error: Exception | None) -> None:
        if not state.done():
            state.set_result((new, str(error or "no reason given")))

    try:
        async with asyncio.timeout(JOIN_S):
            await client.set_auth(settings.supabase_key)
            await client.connect()
            jobs = client.channel(CHANNEL, private(hears_itself=False))
            await jobs.on_broadcast("wake", lambda _: woken.set()).subscribe(on_state)
            joined, reason = await state
        if joined is not RealtimeSubscribeStates.SUBSCRIBED:
            return [fail(CHECK, f"the private topic `jobs` cannot be joined: {reason}", KEY)]
        return [await _heard(settings, woken)]
    except Exception as error:  # noqa: BLE001  the library raises what its libraries raise
        said = str(error) or type(error).__name__
        return [fail(CHECK, f"{settings.origin}/realtime/v1 cannot be reached: {said}", PROJECT)]
    finally:
        with suppress(Exception):
            await asyncio.wait_for(client.close(), 5)


async def _heard(settings: Settings, woken: asyncio.Event) -> Finding:
    joined = "joined the private topic `jobs`"
    try:
        async with database(Target(database_url=str(settings.database_url))) as connection:
            if not await connection.fetchval("select has_schema_privilege('private', 'usage')"):
                return ok(CHECK, f"{joined}; no wake was sent, which only the owner of the database may")
            for _ in range(WAKES):
                await connection.execute("select private.wake('doctor')")
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), 1)
                    return ok(CHECK, f"{joined} and received a wake")
    except RhythmAIError as error:
        return fail(CHECK, f"{joined}, but no wake could be sent: {error}", "Repair the database first")
    return fail(CHECK, f"{joined}, but a wake from the database did not arrive", SWITCH_ON)
