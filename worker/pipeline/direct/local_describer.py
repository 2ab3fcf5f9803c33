"""The local describer: plausible directions from how a clip looks and what the user wrote, without any model."""

import hashlib
from collections.abc import Sequence

import numpy as np

from worker.domain import Clip, Direction, Hit
from worker.pipeline.direct.choices import choose_genres, choose_instruments, choose_key, choose_mood, choose_tempo
from worker.pipeline.direct.hits import seen
from worker.pipeline.direct.keys import Key
from worker.pipeline.direct.looks import Look, look_of
from worker.pipeline.direct.prompts import WISH_LIMIT, CountTokens, caption, pace
from worker.pipeline.direct.titles import title_for
from worker.pipeline.direct.vocabulary import GENRES, MOODS, PERCUSSION, find_genres
from worker.pipeline.direct.wish import Wish, read_wish

_CALM = 0.4
"""Somebody who asks for moods of less energy does not want to be startled."""


class LocalDescriber:
    """Implements `worker.ports.Describer`. The same clip and request give the same directions."""

    name = "local"

    def __init__(self, count_tokens: CountTokens | None = None) -> None:
        self._count_tokens = count_tokens

    async def describe(
        self, clip: Clip, user_request: str, count: int, video_url: str | None = None
    ) -> tuple[tuple[Direction, ...], str, tuple[Hit, ...]]:
        moods = read_wish(user_request[:WISH_LIMIT]).moods
        calm = bool(moods) and max(MOODS[mood].energy for mood in moods) < _CALM
        return self.directions(clip, user_request, count), self.name, () if calm else seen(clip)

    def directions(
        self, clip: Clip, user_request: str, count: int, taken: Sequence[Direction] = ()
    ) -> tuple[Direction, ...]:
        """`count` directions that differ from each other and from those already `taken`."""
        text = user_request[:WISH_LIMIT]
        wish = read_wish(text)
        look = look_of(clip)
        rng = np.random.default_rng(list(hashlib.sha256(f"{clip.digest}|{look}|{text}".encode()).digest()[:16]))
        genres = choose_genres(wish, look, count, taken, rng)
        tonics = rng.permutation(12)
        used = {direction.title for direction in taken}
        leads = [direction.instruments[0] for direction in taken if direction.instruments]
        chosen: list[Direction] = []
        for number, name in enumerate(genres):
            genre = GENRES[name]
            again = genres[:number].count(name) + sum(name in find_genres(direction.genre) for direction in taken)
            mood = choose_mood(wish, look, genre, [direction.mood for direction in chosen], rng)
            instruments = choose_instruments(wish, genre, again, leads, rng)
            leads.append(instruments[0])
            tempo = choose_tempo(wish, look, genre, [direction.tempo_bpm for direction in chosen], rng)
            key = choose_key(wish, mood, int(tonics[(number + len(taken)) % 12]), again + number)
            flavour = genre.flavours[(again + int(tonics[0])) % len(genre.flavours)]
            title = title_for(mood, look, used, rng)
            used.add(title)
            prompt = caption(
                genre=flavour, instruments=instruments, tempo=f"{pace(tempo)} tempo", mood=f"{mood} mood",
                extras=(_colour(look),), count_tokens=self._count_tokens,
            )  # fmt: skip
            chosen.append(Direction(
                title=title, prompt=prompt, description=_sentence(wish, clip, flavour, instruments, tempo, key, mood),
                genre=flavour, instruments=instruments, tempo_bpm=tempo, key=str(key), mood=mood,
            ))  # fmt: skip
        return tuple(chosen)


def _colour(look: Look) -> str:
    if look.brightness < 0.3:
        return "dark warm tone"
    return "warm tone" if look.warmth > 0.55 else "clear bright tone" if look.brightness > 0.6 else ""


def _sentence(
    wish: Wish, clip: Clip, flavour: str, instruments: tuple[str, ...], tempo: float, key: Key, mood: str
) -> str:
    lead, *others = instruments
    listed = " and ".join(filter(None, [", ".join(others[:-1]), *others[-1:]]))
    playing = f"{lead} in front, {listed} behind it." if others else f"{lead} in front; nobody else plays."
    playing += (" Solo." if wish.solo else "") + (" Without drums." if wish.unwanted & PERCUSSION else "")
    turns = "turns with the picture's cuts" if clip.cuts_s else "grows with the picture"
    # Without the number: the composer bends the tempo a little so that bars meet the cuts.
    kind = flavour if flavour.startswith(mood) else f"{mood} {flavour}"
    return (
        f"A {pace(tempo).replace('medium', 'mid-tempo')}, {kind} piece in {key}: {playing} It {turns} and ends at home."
    )
