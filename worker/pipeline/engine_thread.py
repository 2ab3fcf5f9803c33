"""The thread that an engine lives in, and the watch over it: a device that hangs is known by its silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

from worker.errors import DeviceLost, DeviceStuck

T = TypeVar("T")
ROUNDS = 4
"""Silence is counted in so many rounds: a process that was stopped for an hour has been silent for one of them only."""
STUCK = "the engine hangs in the work of another job"


class EngineThread(ThreadPoolExecutor):
    """One thread: an engine that was loaded and warmed in it finds there what its libraries keep by thread.

    Nobody waits for longer than `patience` while neither a step ends nor the engine asks whether it is to stop.
    """

    def __init__(self, patience: timedelta = timedelta(minutes=2)) -> None:
        super().__init__(1, "engine")
        self._round_s = patience.total_seconds() / ROUNDS
        self._signs = 0
        self.hangs = False
        self.beside = ThreadPoolExecutor(1, "beside the engine")
        """For what is cheap, does not touch the device and need not wait for it."""

    def sign(self) -> None:
        """The engine lives: called in whatever thread it works, as often as it likes."""
        self._signs += 1

    def rest(self, work: Callable[[Callable[[], bool]], None], busy: Callable[[], bool]) -> Future[None]:
        """Have `work(busy)` done when the thread is free. Raises RuntimeError when it was shut down."""

        def asked() -> bool:
            self.sign()
            return busy()

        return self.submit(work, asked)

    def answers(self) -> bool:
        """Whether it is free, now or in a moment: Python would wait for a thread that is not, before it ends."""
        with suppress(TimeoutError):
            self.submit(self.sign).result(1)
            return True
        return False

    async def wait_for(self, work: Future[T]) -> T:
        """What `work` answers. Raises DeviceLost where it hangs, DeviceStuck where the thread hung before it came to it."""
        answer = asyncio.wrap_future(work)
        answer.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # perhaps nobody asks any more
        silent, heard = 0, -1
        while silent < ROUNDS:
            done, _ = await asyncio.wait({answer}, timeout=self._round_s)
            if done:
                return answer.result()
            silent, heard = (silent + 1 if heard == self._signs else 0), self._signs
        self.hangs = True
        raise DeviceStuck(STUCK) if work.cancel() else DeviceLost("the engine does not answer: the device hangs")


class Visit:
    """One job's while with the engine."""

    def __init__(self, thread: EngineThread, stopped: Callable[[], bool]) -> None:
        self._thread, self._stopped = thread, stopped
        self._left = False

    def over(self) -> bool:
        """Whether the engine may stop working for the job; it asks this at every step."""
        self._thread.sign()
        return self._left or self._stopped()

    def leave(self) -> None:
        """Nobody waits for the engine's answers any more."""
        self._left = True

    async def do(self, step: Callable[[], T], *, beside: bool = False) -> T:
        """What `step` answers, in the engine's thread, or `beside` it.

        Who is cancelled leaves, and still waits until the step has ended: before that the thread is nobody else's.
        Raises what the step raises, DeviceLost, DeviceStuck.
        """
        if self._thread.hangs:
            raise DeviceStuck(STUCK)
        work = (self._thread.beside if beside else self._thread).submit(step)
        try:
            return await self._thread.wait_for(work)
        except asyncio.CancelledError:
            self.leave()
            if not work.cancel():
                await self._ended(work)
            raise

    async def _ended(self, work: Future[T]) -> None:
        """Wait for an answer that nobody wants any more. Raises DeviceLost."""
        try:
            await self._thread.wait_for(work)
        except DeviceLost:
            raise
        except Exception:  # noqa: BLE001
            return
