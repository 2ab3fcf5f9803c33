"""Choices of the local describer: what suits a look and a wish, and differs from what was chosen before."""

from collections.abc import Sequence

import numpy as np

from worker.domain import Direction
from worker.pipeline.direct.keys import Key
from worker.pipeline.direct.looks import Look
from worker.pipeline.direct.vocabulary import BASSES, GENRES, MOODS, PERCUSSION, Genre, find_genres
from worker.pipeline.direct.wish import Wish

_COLOURED = {"dreamy", "cool", "mysterious", "nostalgic"}
"""Moods that bear a mode beside major and minor now and then."""


def choose_genres(
    wish: Wish, look: Look, count: int, taken: Sequence[Direction], rng: np.random.Generator
) -> list[str]:
    """Asked genres in turn; otherwise those that suit picture and wish best, each once."""
    if wish.genres:
        return [wish.genres[number % len(wish.genres)] for number in range(count)]
    energy, valence = look.energy, look.valence
    span = (wish.tempo_bpm, wish.tempo_bpm) if wish.tempo_bpm else wish.tempo_range
    if wish.moods:
        energy = float(np.mean([MOODS[mood].energy for mood in wish.moods]))
        valence = float(np.mean([MOODS[mood].valence for mood in wish.moods]))
    elif span:
        energy = min(1.0, max(0.0, (sum(span) / 2 - 55) / 110))
    cost: dict[str, float] = {}
    for name, genre in GENRES.items():
        cost[name] = abs(genre.energy - energy) + 0.7 * abs(genre.valence - valence) + 0.12 * rng.random()
        cost[name] += 0.35 * len({*wish.instruments} - {*genre.leads, *genre.supports, genre.rhythm})
        if span:
            cost[name] += max(0.0, genre.tempo_bpm[0] - span[1], span[0] - genre.tempo_bpm[1]) / 40
        if any(name in find_genres(direction.genre) for direction in taken):
            cost[name] += 0.8
    return sorted(cost, key=cost.__getitem__)[:count]


def choose_mood(wish: Wish, look: Look, genre: Genre, before: Sequence[str], rng: np.random.Generator) -> str:
    if wish.moods:
        return wish.moods[len(before) % len(wish.moods)]
    energy, valence = (genre.energy + look.energy) / 2, (genre.valence + look.valence) / 2
    cost = {
        name: abs(mood.energy - energy) + abs(mood.valence - valence) + before.count(name) / 2 + 0.15 * rng.random()
        for name, mood in MOODS.items()
    }
    return min(cost, key=cost.__getitem__)


def choose_instruments(
    wish: Wish, genre: Genre, again: int, leads: Sequence[str], rng: np.random.Generator
) -> tuple[str, ...]:
    """What was asked for first, then what the genre offers and nobody led with yet."""
    pitched = [name for name in wish.instruments if name not in PERCUSSION | BASSES]
    low = [name for name in wish.instruments if name in BASSES]
    beats = [name for name in wish.instruments if name in PERCUSSION]
    if wish.solo and pitched:
        return (pitched[0],)
    fresh = sorted((name for name in genre.leads if name not in wish.unwanted), key=leads.count)
    lead = (pitched or fresh or ["piano"])[:1]
    others = pitched[1:]
    left_out = {*lead, *others, *wish.unwanted, *(BASSES if low else ())}
    rest = [name for name in dict.fromkeys((*genre.supports, *genre.leads)) if name not in left_out]
    shift = (again + int(rng.integers(2))) % max(1, len(rest))
    rest = rest[shift:] + rest[:shift]
    room = max(0, 3 - len(lead) - len(others) - len(low))
    rhythm = beats or ([genre.rhythm] if genre.rhythm and genre.rhythm not in wish.unwanted else [])
    return tuple(dict.fromkeys((*lead, *others, *rest[:room], *low, *rhythm[:1])))[:5]


def choose_tempo(wish: Wish, look: Look, genre: Genre, before: Sequence[float], rng: np.random.Generator) -> float:
    """Inside what was asked for, else inside the genre's habit; away from the tempi that are there already."""
    if wish.tempo_bpm:
        return wish.tempo_bpm
    low, high = genre.tempo_bpm
    if wish.tempo_range:
        inside = max(low, wish.tempo_range[0]), min(high, wish.tempo_range[1])
        low, high = (round(end) for end in (inside if inside[0] < inside[1] else wish.tempo_range))
    middle = low + (high - low) * (0.25 + 0.5 * look.energy)
    cost = {
        bpm: 0.4 * abs(bpm - middle) / (high - low)
        + 0.1 * rng.random()
        + sum(max(0.0, 1 - abs(bpm - other) / 8) for other in before)
        for bpm in range(int(low), int(high) + 1)
    }
    return float(min(cost, key=cost.__getitem__))


def choose_key(wish: Wish, mood: str, tonic: int, number: int) -> Key:
    if wish.key:
        return wish.key
    plain, coloured = ("major", "lydian") if MOODS[mood].valence >= 0.45 else ("minor", "dorian")
    return Key(tonic=tonic, mode=wish.mode or (coloured if number % 4 == 3 and mood in _COLOURED else plain))
