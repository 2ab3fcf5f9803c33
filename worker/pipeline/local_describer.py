"""The local describer: plausible directions from how a clip looks and what the user wrote, without any model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from worker.domain import Clip, Direction
from worker.pipeline.keys import Key
from worker.pipeline.looks import Look, look_of
from worker.pipeline.prompts import WISH_LIMIT, CountTokens, caption, pace
from worker.pipeline.titles import title_for
from worker.pipeline.vocabulary import BASSES, GENRES, MOODS, PERCUSSION, Genre
from worker.pipeline.wish import Wish, read_wish

BRIGHT_MODES = ("major", "lydian", "mixolydian")
DARK_MODES = ("minor", "dorian", "phrygian")
_PACES = {"slow": "slow", "medium": "mid-tempo", "fast": "fast"}


class LocalDescriber:
    """Implements `worker.ports.Describer`. The same clip and request give the same directions."""

    name = "local"

    def __init__(self, count_tokens: CountTokens | None = None) -> None:
        self._count_tokens = count_tokens

    async def describe(
        self, clip: Clip, user_request: str, count: int, video_url: str | None = None
    ) -> tuple[tuple[Direction, ...], str]:
        return self.directions(clip, user_request, count), self.name

    def directions(
        self, clip: Clip, user_request: str, count: int, taken: Sequence[Direction] = ()
    ) -> tuple[Direction, ...]:
        """`count` directions that differ from each other and from those already `taken`."""
        text = user_request[:WISH_LIMIT]
        wish = read_wish(text)
        look = look_of(clip)
        # The look's own numbers stand for the picture: a clip that is looked at twice gets the same directions.
        rng = np.random.default_rng(list(hashlib.sha256(f"{clip.digest}|{look}|{text}".encode()).digest()[:16]))
        genres = _genres(wish, look, count, taken, rng)
        tonics = rng.permutation(12)
        used = {direction.title for direction in taken}
        leads = [direction.instruments[0] for direction in taken if direction.instruments]
        chosen: list[Direction] = []
        for number, name in enumerate(genres):
            genre = GENRES[name]
            again = genres[:number].count(name)
            mood = _mood(wish, look, genre, [direction.mood for direction in chosen], rng)
            instruments = _instruments(wish, genre, again, leads, rng)
            leads.append(instruments[0])
            tempo = _tempo(wish, look, genre, [direction.tempo_bpm for direction in chosen], rng)
            key = _key(wish, mood, int(tonics[(number + len(taken)) % 12]), again + number)
            flavour = (
                name
                if name in {"rock", "pop"} and number == 0
                else genre.flavours[(again + int(tonics[0])) % len(genre.flavours)]
            )
            title = title_for(mood, look, used, rng)
            used.add(title)
            chosen.append(
                Direction(
                    title=title,
                    prompt=caption(
                        genre=flavour, instruments=instruments, tempo=f"{pace(tempo)} tempo", mood=f"{mood} mood",
                        extras=(_colour(look),), count_tokens=self._count_tokens,
                    ),
                    description=_sentence(wish, look, clip, flavour, instruments, tempo, key, mood),
                    genre=flavour, instruments=instruments, tempo_bpm=tempo, key=str(key), mood=mood,
                )
            )  # fmt: skip
        return tuple(chosen)


def _genres(wish: Wish, look: Look, count: int, taken: Sequence[Direction], rng: np.random.Generator) -> list[str]:
    """Asked genres in turn; otherwise those that suit picture and wish best, each once."""
    if wish.genres:
        return [wish.genres[number % len(wish.genres)] for number in range(count)]
    energy, valence = look.energy, look.valence
    if wish.moods:
        energy = float(np.mean([MOODS[mood].energy for mood in wish.moods]))
        valence = float(np.mean([MOODS[mood].valence for mood in wish.moods]))
    elif wish.tempo_range or wish.tempo_bpm:
        middle = wish.tempo_bpm or sum(wish.tempo_range or (0, 0)) / 2
        energy = min(1.0, max(0.0, (middle - 55) / 110))
    cost: dict[str, float] = {}
    for name, genre in GENRES.items():
        cost[name] = abs(genre.energy - energy) + 0.7 * abs(genre.valence - valence) + 0.12 * float(rng.random())
        playable = {*genre.leads, *genre.supports, genre.rhythm}
        cost[name] += 0.35 * sum(1 for instrument in wish.instruments if instrument not in playable)
        span = wish.tempo_range or ((wish.tempo_bpm, wish.tempo_bpm) if wish.tempo_bpm else None)
        if span:
            low, high = genre.tempo_bpm
            cost[name] += max(0.0, low - span[1], span[0] - high) / 40
        cost[name] += (
            0.8 if any(name in direction.genre or direction.genre in genre.flavours for direction in taken) else 0.0
        )
    return sorted(cost, key=cost.__getitem__)[:count]


def _mood(wish: Wish, look: Look, genre: Genre, before: Sequence[str], rng: np.random.Generator) -> str:
    if wish.moods:
        return wish.moods[len(before) % len(wish.moods)]
    energy, valence = (genre.energy + look.energy) / 2, (genre.valence + look.valence) / 2
    cost = {
        name: abs(mood.energy - energy)
        + abs(mood.valence - valence)
        + 0.5 * before.count(name)
        + 0.15 * float(rng.random())
        for name, mood in MOODS.items()
    }
    return min(cost, key=cost.__getitem__)


def _instruments(
    wish: Wish, genre: Genre, again: int, leads: Sequence[str], rng: np.random.Generator
) -> tuple[str, ...]:
    """What was asked for first, then what the genre offers and nobody led with yet."""
    pitched = [name for name in wish.instruments if name not in PERCUSSION | BASSES]
    low = [name for name in wish.instruments if name in BASSES]
    beats = [name for name in wish.instruments if name in PERCUSSION]
    if wish.solo and pitched:
        return (pitched[0],)
    offered = [name for name in (*genre.leads, *genre.supports) if name not in wish.unwanted and name not in pitched]
    fresh = sorted(
        dict.fromkeys(offered[: len(genre.leads)]),
        key=lambda name: (leads.count(name), genre.leads.index(name)) if name in genre.leads else (9, 0),
    )
    lead = pitched[:1] or fresh[:1] or ["piano"]
    others = pitched[1:]
    rest = [
        name
        for name in dict.fromkeys((*genre.supports, *genre.leads))
        if name not in {*lead, *others, *wish.unwanted, *PERCUSSION}
    ]
    if low:
        rest = [name for name in rest if name not in BASSES]
    shift = again + int(rng.integers(2))
    rest = rest[shift % max(1, len(rest)) :] + rest[: shift % max(1, len(rest))]
    room = max(0, 3 - len(lead) - len(others) - len(low))
    rhythm = beats or ([genre.rhythm] if genre.rhythm and genre.rhythm not in wish.unwanted else [])
    return tuple(dict.fromkeys((*lead, *others, *rest[:room], *low, *rhythm[:1])))[:5]


def _tempo(wish: Wish, look: Look, genre: Genre, before: Sequence[float], rng: np.random.Generator) -> float:
    """Inside what was asked for, else inside the genre's habit; away from the tempi that are there already."""
    if wish.tempo_bpm:
        return wish.tempo_bpm
    low, high = genre.tempo_bpm
    if wish.tempo_range:
        inside = max(low, wish.tempo_range[0]), min(high, wish.tempo_range[1])
        low, high = (round(end) for end in (inside if inside[0] < inside[1] else wish.tempo_range))
    middle = low + (high - low) * (0.25 + 0.5 * look.energy)
    options = range(int(low), int(high) + 1)
    cost = {
        bpm: 0.4 * abs(bpm - middle) / (high - low)
        + 0.1 * float(rng.random())
        + sum(max(0.0, 1 - abs(bpm - other) / 8) for other in before)
        for bpm in options
    }
    return float(min(cost, key=cost.__getitem__))


def _key(wish: Wish, mood: str, tonic: int, number: int) -> Key:
    if wish.key:
        return wish.key
    bright = MOODS[mood].valence >= 0.45
    modes = BRIGHT_MODES if bright else DARK_MODES
    plain = modes[0]
    return Key(
        tonic=tonic,
        mode=wish.mode
        or (modes[1] if number % 4 == 3 and mood in {"dreamy", "cool", "mysterious", "nostalgic"} else plain),
    )


def _colour(look: Look) -> str:
    if look.brightness < 0.3:
        return "dark warm tone"
    return "warm tone" if look.warmth > 0.55 else "clear bright tone" if look.brightness > 0.6 else ""


def _sentence(
    wish: Wish, look: Look, clip: Clip, flavour: str, instruments: tuple[str, ...], tempo: float, key: Key, mood: str
) -> str:
    lead, *others = instruments
    playing = f"{lead} in front" + (f", {_listed(others)} behind it" if others else "; nobody else plays") + "."
    unheard = " Without drums." if wish.unwanted & PERCUSSION else ""
    solo = " Solo." if wish.solo else ""
    cuts = len(clip.cuts_s)
    follows = (
        f" It turns with the picture's {cuts} cuts"
        if cuts > 1
        else " It turns with the cut"
        if cuts
        else " It grows slowly with the picture"
    )
    ending = " and ends at home."
    return f"A {_PACES[pace(tempo)]}, {mood} {flavour} piece in {key} at {tempo:g} BPM: {playing}{solo}{unheard}{follows}{ending}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
