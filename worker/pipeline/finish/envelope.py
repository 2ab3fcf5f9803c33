"""How far music steps back for speech: points in dB over time, which a page computes alike (docs/contract.md), and their rendering."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from worker.domain import Span

DOWN_S, HOLD_S, UP_S = 0.150, 0.250, 0.400
"""The music is down when somebody begins to speak, stays so for a while, and comes back."""
RATE_HZ = 1000
_BEHIND_S = 1
"""Rendered beyond the end, so that no resampler is at its edge there."""

Point = tuple[float, float]
"""Seconds and dB. Between two points the dB go in a straight line."""


def points(speech: Sequence[Span], duck_db: float, duration_s: float) -> tuple[Point, ...]:
    """From 0 to `duration_s`, wholly determined by the arguments. `speech` is in order; between spans that are nearer than the way up
    and down the music stays down.
    """
    corners: list[Point] = []
    for span in speech:
        if corners and span.start_s - DOWN_S < corners[-1][0]:
            del corners[-2:]
        else:
            corners += [(span.start_s - DOWN_S, 0.0), (span.start_s, duck_db)]
        corners += [(span.end_s + HOLD_S, duck_db), (span.end_s + HOLD_S + UP_S, 0.0)]
    inside = [point for point in corners if 0 < point[0] < duration_s]
    return (0.0, _level_db(corners, 0)), *inside, (duration_s, _level_db(corners, duration_s))


def _level_db(corners: Sequence[Point], at_s: float) -> float:
    return float(np.interp(at_s, [at for at, _ in corners], [db for _, db in corners])) if corners else 0.0


def render(curve: Sequence[Point], file: Path) -> None:
    """Write the gains, 1000 a second, as raw float32 without a header."""
    at_s, level_db = zip(*curve, strict=True)
    times_s = np.arange(round((at_s[-1] + _BEHIND_S) * RATE_HZ)) / RATE_HZ
    (10 ** (np.interp(times_s, at_s, level_db) / 20)).astype("<f4").tofile(file)
