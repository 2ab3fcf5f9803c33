"""The alarm: what a wake-up makes a worker do, and when, so that a thousand idle workers are no stampede.

A wake-up says what came and how many workers hear it. Each looks at a moment of its own within a millisecond a worker, so that
the first of a thousand looks as soon as the only one does; and once more a second later, when whatever was swallowed on the way
can be found.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from worker.wake import Wake

EACH_S = 0.001
LONGEST_S = 1.0
SECOND_LOOK_S = 0.9
MESSENGERS = 8
"""How many workers a webhook wakes, on average."""


@dataclass(slots=True, kw_only=True)
class Alarm:
    """Takes wake-ups, and lets the listener and the webhooks look. To be used in the event loop."""

    kinds: tuple[str, ...]
    engines: tuple[str, ...]
    look: Callable[[], None]
    deliver: Callable[[], None]
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)
    _again: bool = field(default=False, init=False)

    def ring(self, wake: Wake) -> None:
        if wake.what in ("", "webhook") and random.random() * wake.workers < MESSENGERS:
            self.deliver()
        if wake.what in ("", *self.kinds) and wake.engine in ("", *self.engines):
            self._again = True
            self._after(random.uniform(0, min(LONGEST_S, wake.workers * EACH_S)))

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _after(self, pause_s: float) -> None:
        loop = asyncio.get_running_loop()
        when = loop.time() + pause_s
        if self._timer is None or self._timer.when() > when:
            self.stop()
            self._timer = loop.call_at(when, self._look)

    def _look(self) -> None:
        again, self._again, self._timer = self._again, False, None
        self.look()
        if again:
            self._after(SECOND_LOOK_S * random.uniform(0.9, 1.1))
