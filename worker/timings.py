"""How long the stages of a job take."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field


@dataclass(slots=True)
class Timings:
    """Seconds spent in each stage of a job, for its last log line, and seconds of music that came of them."""

    seconds: dict[str, float] = field(default_factory=dict)
    music_s: float = 0.0
    engine: str = ""
    """What composes, with its model."""
    span: Callable[[str], AbstractContextManager[object]] = nullcontext
    """Begins the span of a stage."""

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """A stage of the job, with a span of its own."""
        with self.span(name), self.timed(name):
            yield

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - start, 3)
