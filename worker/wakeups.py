"""Wake-ups: a Realtime broadcast on the private topic `jobs`, and LISTEN. Each is enough alone; both are only hints.

Both carry {"what": ..., "engine": ..., "workers": ..., "lookers": ...}, see `worker.wake.Wake`.
"""

import asyncio
import json
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import structlog
from realtime import AsyncRealtimeClient, RealtimeSubscribeStates
from realtime.types import RealtimeChannelOptions

from rhythmai.project.dsn import behind_transaction_pooler, connect_arguments
from worker.database import APPLICATION
from worker.wake import Wake

log = structlog.get_logger()
CHANNEL = "jobs"


def private(*, hears_itself: bool) -> RealtimeChannelOptions:
    """Options of a private channel: a project may have switched public ones off."""
    return {
        "config": {
            "private": True,
            "broadcast": {"ack": False, "self": hears_itself},
            "presence": {"key": "", "enabled": False},
        }
    }


def _told(payload: object) -> Wake:
    """What cannot be read wakes as well."""
    try:
        told: Any = json.loads(payload) if isinstance(payload, str) else payload
        return Wake(
            what=str(told["what"]),
            engine=str(told["engine"]),
            workers=int(told["workers"]),
            lookers=int(told["lookers"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return Wake()


async def for_ever(session: Callable[[], Any], *, name: str) -> None:
    """Run a session again and again, with jittered backoff that starts over after a session that lived a minute."""
    loop = asyncio.get_running_loop()
    wait_s = 0.5
    while True:
        started = loop.time()
        try:
            await session()
            reason = "closed"
        except Exception as error:  # noqa: BLE001  a wake-up source never takes the worker down
            reason = str(error) or type(error).__name__
        if loop.time() - started > 60:
            wait_s = 0.5
        log.info("wakeups.lost", source=name, reason=reason, again_in_s=wait_s)
        await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
        wait_s = min(wait_s * 2, 30.0)


@dataclass(frozen=True, slots=True)
class ListenWakeUps:
    """LISTEN on a connection of its own. Refuses a transaction pooler, where LISTEN hears nothing and says nothing."""

    dsn: str
    check_every: timedelta = timedelta(seconds=20)
    patience: timedelta = timedelta(seconds=10)

    async def run(self, wake: Callable[[Wake], None]) -> None:
        if behind_transaction_pooler(self.dsn):
            log.info("wakeups.no_listen", reason="a transaction pooler has no LISTEN; Realtime and the poll suffice")
            return
        await for_ever(lambda: self._session(wake), name="listen")

    async def _session(self, wake: Callable[[Wake], None]) -> None:
        connection = await asyncpg.connect(timeout=10, **connect_arguments(self.dsn, APPLICATION))
        lost = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, lambda *said: wake(_told(said[-1])))
            wake(Wake())
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(lost.wait(), self.check_every.total_seconds())
                if lost.is_set():
                    return
                # A half-open connection looks alive until it is asked something.
                await connection.fetchval("select 1", timeout=self.patience.total_seconds())
        finally:
            connection.terminate()


@dataclass(frozen=True, slots=True)
class RealtimeWakeUps:
    """One client per session, never reconnected by itself: the library gives up for good after a few tries, and a zombie
    that lost its reader task still says that it is connected. So we ping ourselves through the server and rebuild."""

    supabase_url: str
    key: str
    apikey: str = ""
    """What the gateway before Realtime wants, where it is not the key."""
    ping_every: timedelta = timedelta(seconds=25)
    patience: timedelta = timedelta(seconds=10)
    second_look: timedelta = timedelta(seconds=3)
    """A subscription is announced one to three seconds before it is live: look again then."""

    async def run(self, wake: Callable[[Wake], None]) -> None:
        await for_ever(lambda: self._session(wake), name="realtime")

    async def _session(self, wake: Callable[[Wake], None]) -> None:
        url = f"{self.supabase_url}/realtime/v1"
        client = AsyncRealtimeClient(url, self.apikey or self.key, auto_reconnect=False, max_retries=1)
        await client.set_auth(self.key)
        trouble: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        pong = asyncio.Event()

        def on_state(state: RealtimeSubscribeStates, error: Exception | None) -> None:
            # Runs in the reader task: an exception here would kill it silently.
            if state is RealtimeSubscribeStates.SUBSCRIBED:
                wake(Wake())
            elif not trouble.done():
                trouble.set_result(f"{state.value}: {error}" if error else state.value)

        try:
            await client.connect()
            jobs = client.channel(CHANNEL, private(hears_itself=False))
            await jobs.on_broadcast("wake", lambda said: wake(_told(said.get("payload")))).subscribe(on_state)
            echo = client.channel(f"echo:{random.getrandbits(64):x}", private(hears_itself=True))
            await echo.on_broadcast("ping", lambda _: pong.set()).subscribe(on_state)
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(trouble), self.second_look.total_seconds())
            if not trouble.done():
                wake(Wake())
            while not trouble.done():
                pong.clear()
                await echo.send_broadcast("ping", {})
                await asyncio.wait_for(pong.wait(), self.patience.total_seconds())
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(trouble), self.ping_every.total_seconds())
            raise ConnectionError(trouble.result())
        finally:
            with suppress(Exception):
                await asyncio.wait_for(client.close(), 5)
