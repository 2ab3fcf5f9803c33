"""Harmony: chords of a key, progressions written in scale degrees, and voices that move as little as they can."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from worker.pipeline.direct.keys import Key


@dataclass(frozen=True, slots=True)
class Chord:
    """Pitch classes stacked in thirds, root first."""

    tones: tuple[int, ...]

    @property
    def root(self) -> int:
        return self.tones[0]

    @property
    def fifth(self) -> int:
        return self.tones[2]

    @property
    def triad(self) -> frozenset[int]:
        return frozenset(self.tones[:3])


def chord(key: Key, symbol: str, size: int) -> Chord:
    """The chord on a degree: "1" to "7" are stacked from the mode's own notes; "!" makes the third major (the dominant of
    a minor key), "b" before the degree lowers its root. `size` is 3 for triads, 4 with seventh, 5 with ninth.
    """
    lowered = symbol.startswith("b")
    degree = int(symbol.strip("b!")) - 1
    tones = [key.degrees[(degree + 2 * step) % 7] for step in range(size)]
    if lowered:
        root = (tones[0] - 1) % 12
        tones = [(root + step) % 12 for step in (0, 4, 7, 11, 14)[:size]]
    if symbol.endswith("!"):
        tones[1] = (tones[0] + 4) % 12
    if (tones[2] - tones[0]) % 12 == 6 and size == 3:  # a diminished triad sounds like a mistake without its seventh
        tones[2] = (tones[0] + 7) % 12
    return Chord(tuple(tones))


@lru_cache(maxsize=4096)
def voicing(chord: Chord, voices: int, previous: tuple[int, ...] | None, centre: int) -> tuple[int, ...]:
    """MIDI pitches, low to high, as near to `previous` (and to `centre`) as the chord allows.

    With more tones than voices the fifth and then the root give way: the bass has the root.
    """
    keep = list(chord.tones)
    for spare in (chord.fifth, chord.root):
        if len(keep) > voices and spare in keep:
            keep.remove(spare)
    keep = keep[:voices]
    best: tuple[int, ...] = ()
    best_cost = float("inf")
    for order in itertools.permutations(keep):
        for first in range(centre - 14, centre + 8):
            if first % 12 != order[0]:
                continue
            pitches = [first]
            for tone in order[1:]:
                pitches.append(pitches[-1] + ((tone - pitches[-1]) % 12 or 12))
            while len(pitches) < voices:
                pitches.append(pitches[len(pitches) - len(order)] + 12)
            cost = 0.35 * abs(sum(pitches) / len(pitches) - centre) + 0.25 * max(0, pitches[-1] - pitches[0] - 16)
            cost += sum(
                2.0 for low, high in itertools.pairwise(pitches) if high - low < 2 or (low < 52 and high - low < 4)
            )
            if previous:
                cost += sum(abs(new - old) for new, old in zip(pitches, previous, strict=False)) / len(pitches)
            if cost < best_cost:
                best, best_cost = tuple(pitches), cost
    return best


def nearest_pitch(pitch: float, classes: Sequence[int] | frozenset[int]) -> int:
    """The MIDI pitch closest to `pitch` whose pitch class is among `classes`."""
    centre = round(pitch)
    return min(
        (candidate for candidate in range(centre - 6, centre + 7) if candidate % 12 in classes),
        key=lambda candidate: (abs(candidate - pitch), candidate),
    )
