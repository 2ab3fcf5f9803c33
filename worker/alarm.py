"""The alarm: what a wake-up makes a worker do, and when. Whether that was enough is the database's to see (private.pay_wakes)."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from worker.wake import Wake


@dataclass(slots=True, kw_only=True)
class Alarm:
    """Takes wake-ups, and lets the listener and the webhooks look. To be used in the event loop."""

    kinds: tuple[str, ...]
    engines: tuple[str, ...]
    look: Callable[[], None]
    deliver: Callable[[], None]
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    def ring(self, wake: Wake) -> None:
        after_s = wake.look_after()
        if after_s is None:
            return
        if wake.what in ("", "webhook"):
            self.deliver()
        if wake.what in ("", *self.kinds) and wake.engine in ("", *self.engines):
            when = asyncio.get_running_loop().time() + after_s
            if self._timer is None or self._timer.when() > when:
                self.stop()
                self._timer = asyncio.get_running_loop().call_at(when, self._look)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        self.look()
