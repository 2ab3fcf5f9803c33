"""How much goes through a network at once: less where memory runs out, and more again when that has gone well for a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from worker.errors import NoMemory

ROWS_BUDGET = 4 * 2**30
"""Bytes of modulation rows kept for all steps of a job at once; more are computed step by step."""
GOOD_JOBS = 5
"""After so many a smaller batch is doubled; twice as many each time that this was too early."""


@dataclass(slots=True)
class Batching:
    """How many windows or frames fit into one pass; all jobs share it."""

    most: int = 8
    make_room: Callable[[], bool] = lambda: False
    """Lets go of what only saves time; whether there was anything."""
    size: int = field(init=False)
    _good: int = field(default=0, init=False)
    _enough: int = field(default=GOOD_JOBS, init=False)
    _grown: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.size = self.most

    @property
    def rows_budget(self) -> int:
        """Bytes of modulation rows that may be kept beside."""
        return ROWS_BUDGET * self.size // self.most

    def shrink(self, tried: int, *, first: bool) -> None:
        """So many did not fit: the `first` time the same once more, where room could be made, else half of it.

        Call it when the error is let go of, since that holds tensors. Raises NoMemory when one alone did not fit.
        """
        if not (first and self.make_room()):
            if tried <= 1:
                raise NoMemory(
                    "the GPU is out of memory even for a single window or frame: use a smaller model or a larger GPU"
                )
            self.size, self._good = max(1, tried // 2), 0
            if self._grown:
                self._grown, self._enough = False, min(2 * self._enough, 16 * GOOD_JOBS)
        torch.cuda.empty_cache()

    def job_done(self) -> None:
        """It went well; some of them, and the batch grows again."""
        self._good += 1
        if self._good >= self._enough and self.size < self.most:
            self.size, self._good, self._grown = min(2 * self.size, self.most), 0, True
