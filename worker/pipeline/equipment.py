"""What a worker has for its jobs: the ports, its engines, and who of its jobs wants those."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import structlog

from worker import ports
from worker.pipeline.rack import Rack
from worker.pipeline.turn import Turn

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Equipment:
    queue: ports.Queue
    fetcher: ports.Fetcher
    looker: ports.Looker
    ear: ports.Ear
    describer: ports.Describer
    rack: Rack | None
    """Its engines; None in a worker that composes nothing."""
    master: ports.Master
    mender: ports.Mender
    merger: ports.Merger
    packer: ports.Packer
    storage: ports.Storage
    for_players: ports.ForPlayers | None = None
    previewer: ports.Previewer | None = None
    """None where tracks and films get no previews."""
    signer: ports.Signer | None = None
    """None where files say where they come from in their tags alone."""
    freed: Callable[[], None] = lambda: None
    """Called when a job has all its music and goes on for what is made beside it alone."""
    fit: Callable[[str], str] = str
    """Trims a hand-written caption to what the engine's text encoder sees."""
    work_dir: Path | None = None
    mastering: Executor = field(default_factory=lambda: ThreadPoolExecutor(2, "mastering"))
    """Where tracks are mastered: few at a time, and never in the engine's way."""
    turn: Turn = field(default_factory=Turn)
    """Who has the engine."""
    listens_on: timedelta = timedelta(minutes=2)
    """How long a job whose music is there waits for what is said in a film behind the part that is set to music."""
    beside: int = 0
    """How many jobs have all their music."""
    _generating: int = 0
    """Jobs that are here and want the engine sooner or later."""

    @contextmanager
    def wanting(self) -> Iterator[None]:
        """A job that wants the engine sooner or later. Where no other one is here any more, the engine has a quiet moment."""
        self._generating += 1
        try:
            yield
        finally:
            self._generating -= 1
            self._rest()

    def _rest(self) -> None:
        """What goes wrong in a quiet moment is no job's fault, and only told."""
        if self.rack is None or self._generating:
            return

        def told(done: Future[None]) -> None:
            if not done.cancelled() and (error := done.exception()):
                log.warning("engine.rest_failed", error=str(error))

        with suppress(RuntimeError):  # the worker is closing, and its engine's thread with it
            self.rack.thread.rest(self.rack.rest, lambda: self._generating > 0).add_done_callback(told)
