"""A wake-up, as the database sends it, and how long a worker sleeps that none comes to."""

import random
from dataclasses import dataclass
from datetime import timedelta

EACH = timedelta(milliseconds=30)
"""Between two looks of a whole fleet that nothing asked for, once it is so large."""
LONGEST = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """A hint: there may be work. `what` is a kind of job, "webhook", or "" for anything; `engine` the one that the job asks for, ""
    for any; `workers` how many hear of it."""

    what: str = ""
    engine: str = ""
    workers: int = 1


def rest(every: timedelta, workers: int) -> timedelta:
    """About `every`, in a large fleet longer: any of its idle workers finds what no wake-up told of."""
    return max(every, min(LONGEST, workers * EACH)) * random.uniform(0.8, 1.2)
