"""One private Realtime topic, listened to for as long as asked, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self

from realtime import AsyncRealtimeClient, RealtimeSubscribeStates
from realtime.types import BroadcastPayload, RealtimeChannelOptions

LONGEST_PAUSE_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Joined:
    """The topic is (again) listened to; what was sent before is lost: look it up."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A broadcast."""

    event: str
    payload: dict[str, Any]


class Silence:
    """No Realtime: nothing is ever heard."""

    joined = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def next(self, timeout_s: float) -> None:
        """Wait as long as asked, in vain."""
        await asyncio.sleep(timeout_s)


class LiveTopic:
    """Events of a topic, in an async context.

    Each connection has a client of its own that never reconnects by itself: the library gives up for good after a few
    tries. Its callbacks run in its reader task, where an exception would silently end all hearing, so they only put
    what came into a queue without bounds.
    """

    def __init__(self, supabase_url: str, key: str, topic: str, *, user_token: str | None = None) -> None:
        self._url = f"{supabase_url.rstrip('/')}/realtime/v1"
        self._key = key
        self._topic = topic
        self._user_token = user_token
        self._inbox: asyncio.Queue[Joined | Heard] = asyncio.Queue()
        self._supervisor: asyncio.Task[None] | None = None
        self.joined = False

    async def __aenter__(self) -> Self:
        self._supervisor = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._supervisor:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])

    async def next(self, timeout_s: float) -> Joined | Heard | None:
        """What came next, or None when nothing came in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                return await self._inbox.get()
        return None

    async def _run(self) -> None:
        pause_s = 0.25
        while True:
            with suppress(Exception):  # whatever it was: the watcher asks REST meanwhile
                if await self._listen_until_lost():
                    pause_s = 0.25
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _listen_until_lost(self) -> bool:
        """Return whether the topic was joined at all."""
        client = AsyncRealtimeClient(self._url, self._key, auto_reconnect=False, max_retries=1)
        lost = asyncio.Event()
        was_joined = False

        def on_state(state: RealtimeSubscribeStates, error: Exception | None) -> None:
            nonlocal was_joined
            self.joined = state is RealtimeSubscribeStates.SUBSCRIBED
            if self.joined:
                was_joined = True
                self._inbox.put_nowait(Joined())
            else:
                lost.set()

        def on_broadcast(message: BroadcastPayload) -> None:
            self._inbox.put_nowait(Heard(message["event"], message["payload"]))

        options: RealtimeChannelOptions = {
            "config": {
                "private": True,
                "broadcast": {"ack": False, "self": False},
                "presence": {"key": "", "enabled": False},
            }
        }
        try:
            if self._user_token:
                await client.set_auth(self._user_token)
            await client.channel(self._topic, options).on_broadcast("*", on_broadcast).subscribe(on_state)
            await lost.wait()
        finally:
            self.joined = False
            with suppress(Exception):
                await asyncio.wait_for(client.close(), 5)
        return was_joined
