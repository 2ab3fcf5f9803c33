"""From one sound into another, at an even power however alike they are."""

import numpy as np

from worker.domain import Samples


def alike(one: Samples, other: Samples) -> float:
    """How far two sounds of one shape are the same, 0 (nothing to do with each other) to 1."""
    powers = float((one**2).sum()) * float((other**2).sum())
    return min(1.0, max(0.0, float((one * other).sum()) / powers**0.5)) if powers > 0 else 0.0


def crossfade(before: Samples, after: Samples, sameness: float) -> Samples:
    """From (channels, n) into another one, which is there from the last sample on.

    Of what is the same (`alike` of 1) levels add up to 1, of what is not powers do. With a sameness of 1 no peak is higher than in
    the two, with less it may be, by 3 dB at most.
    """
    rising = np.sin(np.linspace(0, np.pi / 2, before.shape[1], endpoint=False, dtype=np.float32)) ** 2
    falling = 1 - rising
    even = np.sqrt(falling**2 + rising**2 + 2 * np.float32(sameness) * falling * rising)
    return np.asarray((before * falling + after * rising) / even, dtype=np.float32)
