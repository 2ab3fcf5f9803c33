"""Is a series flat? And is everything back where it was once it is quiet?

Memory while the load runs: a line by least squares over the last two thirds. It *grows* when the line rises by more than 5 % of the
mean and more than 10 MB over that span, and that is no chance (t above 3, with as many independent samples as their
correlation leaves). What is significant and less than that *drifts*, what is as much but may be chance is *unsteady*: both are told, and
do not fail the run.
Everything that can be counted (descriptors, sockets, children, temporary files, connections): the last count of the quiet time at
the end may not be above the last one of the quiet minute after the warm-up. Threads may stay up to the sizes of their pools, which
begin a thread when they need it and keep it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import Literal

Word = Literal["flat", "unsteady", "drifts", "grows"]
RELATIVE, ABSOLUTE_MB, SIGNIFICANT = 0.05, 10.0, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A least-squares line through (seconds, values): its mean, its rise over the span, and how sure it is (Student's t)."""

    mean: float
    rise: float
    per_hour: float
    t: float

    @property
    def word(self) -> Word:
        much, sure = self.rise > max(RELATIVE * self.mean, ABSOLUTE_MB), self.rise > 0 and self.t > SIGNIFICANT
        return ("grows" if sure else "unsteady") if much else ("drifts" if sure else "flat")


def line(times_s: Sequence[float], values: Sequence[float]) -> Line:
    """Needs three points at least. Neighbouring samples resemble each other: n counts for n (1 - r) / (1 + r), r their correlation."""
    n, at, mean = len(times_s), fmean(times_s), fmean(values)
    spread = sum((time - at) ** 2 for time in times_s)
    slope = sum((time - at) * (value - mean) for time, value in zip(times_s, values, strict=True)) / spread
    rest = [value - mean - slope * (time - at) for time, value in zip(times_s, values, strict=True)]
    squares = sum(r * r for r in rest)
    together = sum(a * b for a, b in pairwise(rest)) / squares if squares else 0.0
    r = min(max(together, 0.0), 0.95)
    independent = max(3.0, n * (1 - r) / (1 + r))
    error = math.sqrt(squares / (independent - 2) / spread)
    t = slope / error if error else math.copysign(math.inf, slope) if slope else 0.0
    return Line(mean=mean, rise=slope * (times_s[-1] - times_s[0]), per_hour=slope * 3600, t=t)


def last_two_thirds(times_s: Sequence[float], values: Sequence[float]) -> Line:
    start = times_s[0] + (times_s[-1] - times_s[0]) / 3
    kept = [(time, value) for time, value in zip(times_s, values, strict=True) if time >= start]
    return line([time for time, _ in kept], [value for _, value in kept])


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """A count at the end of the quiet minute after the warm-up, in the middle of the load, and at the end of the last quiet time."""

    before: float
    under_load: float
    after: float
    kept: float = 0
    """What may stay for good, whatever was there before."""

    @property
    def back(self) -> bool:
        return self.after <= max(self.before, self.kept)


def returned(before: Sequence[float], under_load: Sequence[float], after: Sequence[float], kept: float = 0) -> Return:
    return Return(before=before[-1], under_load=median(under_load), after=after[-1], kept=kept)
