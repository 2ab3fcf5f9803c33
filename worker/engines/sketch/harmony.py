"""Harmony: chords of a key, progressions written in scale degrees, and voices that move as little as they can."""

import itertools
from collections.abc import Mapping, Sequence
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
def voicing(
    chord: Chord, voices: int, previous: tuple[int, ...] | None, centre: int, bass: tuple[int, int] | None = None
) -> tuple[int, ...]:
    """MIDI pitches, low to high, as near to `previous` (and to `centre`) as the chord allows.

    With more tones than voices the fifth and then the root give way: the bass has the root. `bass` is its pitch before and now; no two
    of all these voices go in fifths or octaves side by side where that can be had.
    """
    keep = list(chord.tones)
    for spare in (chord.fifth, chord.root):
        if len(keep) > voices and spare in keep:
            keep.remove(spare)
    keep = keep[:voices]
    around = [pitch for pitch in range(centre - 13, centre + 15) if pitch % 12 in keep]
    whole = (pitches for pitches in itertools.combinations(around, voices) if {p % 12 for p in pitches} == set(keep))
    return min(whole, key=lambda pitches: (_cost(chord, pitches, previous, centre, bass), pitches))


def _cost(
    chord: Chord, pitches: tuple[int, ...], previous: tuple[int, ...] | None, centre: int, bass: tuple[int, int] | None
) -> float:
    cost = 0.35 * abs(sum(pitches) / len(pitches) - centre) + 0.25 * max(0, pitches[-1] - pitches[0] - 16)
    cost += sum(
        2.0 * (high - low < 2 or (low < 52 and high - low < 4)) + 0.4 * max(0, high - low - 9)
        for low, high in itertools.pairwise(pitches)
    )
    third = chord.tones[1]
    cost += 0.8 * max(0, sum(pitch % 12 == third for pitch in (*pitches, *(bass or ())[1:])) - 1)
    if previous and len(previous) == len(pitches):
        moves = [abs(new - old) for new, old in zip(pitches, previous, strict=True)]
        cost += sum(moves) / len(pitches) + 0.6 * max(0, max(moves) - 4)
        before, now = (previous, pitches) if bass is None else ((bass[0], *previous), (bass[1], *pitches))
        cost += 12.0 * parallels(before, now)
    return cost


def parallels(before: Sequence[int], now: Sequence[int]) -> int:
    """How many pairs of voices go from a fifth or an octave into the next, both the same way: they would sound like one."""
    pairs = itertools.combinations(zip(before, now, strict=True), 2)
    return sum(
        (high - low) % 12 in {0, 7}
        and (high - low) % 12 == (then_high - then_low) % 12
        and (then_low - low) * (then_high - high) > 0
        for (low, then_low), (high, then_high) in pairs
    )


def ground(
    chords: Sequence[Chord], free: Sequence[bool], centre: int, held: Mapping[int, int] | None = None
) -> list[int]:
    """The bass under `chords` as MIDI pitches, moving by as little as it can: where `free`, the third may lie lowest, else the root.
    Some may be `held`, by their numbers.

    The cheapest way through all chords (Viterbi): a bass that knows where it goes, up or down.
    """
    ways: dict[int, tuple[float, list[int]]] = {}
    for number, (chord, inverts) in enumerate(zip(chords, free, strict=True)):
        classes = chord.tones[: 2 if inverts else 1]
        places = [pitch for pitch in range(centre - 5, centre + 10) if pitch % 12 in classes]
        if held and number in held:
            places = [held[number]]
        stay = {p: 0.12 * abs(p - centre - 1) + (0.0 if p % 12 == chord.root else 0.6) for p in places}
        ways = {
            place: min((cost + _leap(place - last) + stay[place], [*way, place]) for last, (cost, way) in ways.items())
            if ways
            else (stay[place], [place])
            for place in places
        }
    return min(ways.values())[1]


def _leap(semitones: int) -> float:
    return (0.3, 0.0, 0.0, 0.6, 0.8, 0.8, 1.8, 1.2)[abs(semitones)] if abs(semitones) < 8 else 0.35 * abs(semitones)


def nearest_pitch(pitch: float, classes: Sequence[int] | frozenset[int]) -> int:
    """The MIDI pitch closest to `pitch` whose pitch class is among `classes`."""
    centre = round(pitch)
    return min(
        (candidate for candidate in range(centre - 6, centre + 7) if candidate % 12 in classes),
        key=lambda candidate: (abs(candidate - pitch), candidate),
    )
