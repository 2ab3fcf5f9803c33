"""The rack: the engines of one worker. The first is loaded at the start, others when a job wants them; where memory is short, the one
that was longest of no use is let go."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self, TypeVar

import structlog

from worker.errors import Misconfigured, NoMemory, NoRoom, Unavailable
from worker.pipeline.engine_thread import EngineThread
from worker.ports import Engine

log = structlog.get_logger()
T = TypeVar("T")
SIGN_EVERY_S = 5.0


@dataclass(slots=True, kw_only=True)
class Rack:
    """An engine stays where it is while a job holds it, since it may have seen the job's film already."""

    models: dict[str, str]
    """Names of engines, with their models; the first is taken for jobs that name none."""
    load: Callable[[str], Engine]
    """In the engines' thread. Raises Misconfigured, NoRoom."""
    emptied: Callable[[], None] = lambda: None
    """Called there when an engine was let go: what it had is to be given back."""
    thread: EngineThread = field(default_factory=EngineThread)
    _loaded: dict[str, Engine] = field(default_factory=dict, init=False)
    """Who was used last stands last."""
    _holders: Counter[str] = field(default_factory=Counter, init=False)
    _door: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    """Who waits for room lets nobody pass who would take it away again."""
    _freed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @classmethod
    def of(cls, engine: Engine) -> Self:
        """One engine that is there already."""
        rack = cls(models={engine.name: engine.model}, load=lambda _: engine)
        rack._loaded[engine.name] = engine
        return rack

    def open(self) -> Self:
        """Load the first, in the engines' thread. Raises Misconfigured."""
        first = self.taken_for("")
        self._loaded[first] = self.load(first)
        return self

    def taken_for(self, asked: str) -> str:
        """The name of the engine for a job that asks for this one, '' for any."""
        return asked or next(iter(self.models))

    def label(self, name: str) -> str:
        """The engine with its model, for people."""
        return f"{name} {self.models[name]}".strip()

    @property
    def loaded(self) -> tuple[Engine, ...]:
        return tuple(self._loaded.values())

    def rest(self, busy: Callable[[], bool]) -> None:
        """Give each a quiet moment; see `worker.ports.Engine`."""
        for engine in self.loaded:
            if not busy():
                engine.rest(busy)

    @asynccontextmanager
    async def held(self, asked: str) -> AsyncIterator[Engine]:
        """The engine of a job, '' for any, until it needs it no more. Raises Unavailable where it cannot be loaded."""
        name = self.taken_for(asked)
        async with self._door:
            engine = self._loaded.pop(name, None) or await self._room_for(name)
            self._loaded[name] = engine
            self._holders[name] += 1
        try:
            yield engine
        except NoMemory:
            while await self._let_go():  # the next try has the whole device
                pass
            raise
        finally:
            self._holders[name] -= 1
            self._freed.set()

    async def _room_for(self, name: str) -> Engine:
        while True:
            self._freed.clear()
            try:
                return await self._in_thread(lambda: self.load(name))
            except NoRoom as error:
                said = str(error)
            except Misconfigured as error:
                log.warning("engine.unusable", engine=name, error=str(error))
                raise Unavailable(f"this worker cannot load {name}: {error}") from error
            # Only now: the error holds what was loaded before it.
            if not self._loaded:
                raise Unavailable(said)
            if not await self._let_go():
                await self._freed.wait()

    async def _let_go(self) -> bool:
        """Whether there was one that nobody holds."""
        idle = next((name for name in self._loaded if not self._holders[name]), None)
        if idle is None:
            return False
        log.info("engine.let_go", engine=idle)
        del self._loaded[idle]
        await self._in_thread(self.emptied)
        return True

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Loading is silent for long, and no sign of a device that hangs."""
        task = asyncio.get_running_loop().run_in_executor(self.thread, work)
        while not task.done():
            await asyncio.wait({task}, timeout=SIGN_EVERY_S)
            self.thread.sign()
        return await task
