"""Which frames of a film an engine sees: the first frame at or after each slot of its clocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Clock:
    """Slots at a fixed rate, their times summed up in float64: k * 0.04 is not the k-th sum of 0.04, and the sum decides."""

    fps: int
    due_s: float = 0.0
    count: int = 0

    def take(self, time_s: float) -> int:
        """How many slots the frame at this time fills: none, one, or several where frames are rarer than slots."""
        before = self.count
        while time_s >= self.due_s:
            self.count += 1
            self.due_s += 1 / self.fps
        return self.count - before


class Selection:
    """Frames come in presentation order; one at the very end of the duration still counts."""

    def __init__(self, duration_s: float, rates: Sequence[int]) -> None:
        self._duration_s = duration_s
        self.clocks = tuple(Clock(fps) for fps in rates)

    def take(self, time_s: float) -> tuple[int, ...]:
        """How many slots of each clock show the frame at this time."""
        if time_s < 0 or time_s > self._duration_s:
            return (0,) * len(self.clocks)
        return tuple(clock.take(time_s) for clock in self.clocks)
