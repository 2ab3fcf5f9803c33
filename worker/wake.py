"""A wake-up, as the database sends it: who looks because of it, and when; and how long a worker sleeps that none comes to."""

import random
from dataclasses import dataclass
from datetime import timedelta

EACH_S = 0.001
"""Between two looks of those who are called."""
LONGEST_S = 1.0
EACH = timedelta(milliseconds=30)
"""Between two looks of a whole fleet that nothing asked for, once it is so large."""
LONGEST = timedelta(minutes=1)
FEW = 32
"""How many of a fleet look at what no wake-up tells of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """A hint: there may be work. `what` is a kind of job, "webhook", or "" for anything; `engine` the one that the job asks for, ""
    for any. Of `workers` that could take it about `lookers` are to look, so that a thousand idle workers are no stampede."""

    what: str = ""
    engine: str = ""
    workers: int = 1
    lookers: int = 1

    def look_after(self) -> float | None:
        """Seconds until one of these workers looks; None: others do. The first of many looks as soon as the only one does."""
        if random.random() * self.workers >= self.lookers:
            return None
        return random.uniform(0, min(LONGEST_S, self.lookers * EACH_S))


def rest(every: timedelta, workers: int) -> timedelta:
    """About `every`, in a large fleet longer: any of its idle workers finds what no wake-up told of."""
    return max(every, min(LONGEST, workers * EACH)) * random.uniform(0.8, 1.2)


def among_few(workers: int) -> bool:
    """Whether one of so many is to look at a moment that all of them know."""
    return random.random() * workers < FEW
