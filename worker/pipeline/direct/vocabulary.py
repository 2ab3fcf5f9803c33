"""The words of music, of which vocabulary.toml has the tables, and how they are found in what people write.

Describers choose from these tables and engines look them up, so that a direction means the same on both sides.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from worker.pipeline.direct.keys import plain

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Genre:
    """How it feels (0..1), how fast it goes, who plays."""

    aliases: Words
    flavours: Words
    tempo_bpm: tuple[int, int]
    energy: float
    valence: float
    leads: Words
    supports: Words
    rhythm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mood:
    """Its words, how it feels (0..1), and adjectives for titles."""

    aliases: Words
    energy: float
    valence: float
    adjectives: Words


_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
GENRES = TypeAdapter(dict[str, Genre]).validate_python(_TABLES["genres"])
INSTRUMENTS = TypeAdapter(dict[str, Words]).validate_python(_TABLES["instruments"])
MOODS = TypeAdapter(dict[str, Mood]).validate_python(_TABLES["moods"])
NOUNS = TypeAdapter(dict[str, Words]).validate_python(_TABLES["nouns"])

PERCUSSION = frozenset({"drums", "electronic drums", "brushed drums", "timpani", "hand percussion"})
BASSES = frozenset({"bass guitar", "upright bass", "synth bass", "sub bass"})
FAMILIES: dict[str, frozenset[str]] = {
    "drums": PERCUSSION,
    "hand percussion": PERCUSSION,
    "bass guitar": BASSES,
    "acoustic guitar": frozenset({"acoustic guitar", "electric guitar", "nylon guitar"}),
    "synth lead": frozenset({"synth lead", "synth pad", "synth pluck", "synth bass"}),
}
"""Whoever does not want drums, a bass, guitars or synths means all of them."""


def _names(table: Mapping[str, Words]) -> dict[str, str]:
    return {alias: name for name, aliases in table.items() for alias in (*aliases, name)}


def _form(word: str) -> str:
    """A pattern for a word, also in the plural and, where other languages have them, in other genders and cases."""
    endings = {"o": "(?:[oaie]|[oa]s)", "a": "(?:as?|e)", "e": "e[rsnm]?"}
    if len(word) < 5:
        return re.escape(word)
    return re.escape(word[:-1]) + endings.get(word[-1], re.escape(word[-1]) + "(?:e?s|e[rnm]?|n)?")


def _finder(table: Mapping[str, Words]) -> Callable[[str], tuple[str, ...]]:
    """A function that finds the entries of `table` (name -> other names) that a text names, in its order; longer names win."""
    names = _names(table)
    longest = sorted(names, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w&])(?:{'|'.join(f'({_form(word)})' for word in longest)})(?![\w&])")

    def find(text: str) -> tuple[str, ...]:
        hits = pattern.finditer(plain(text).lower().replace("_", " "))
        return tuple(dict.fromkeys(names[longest[(hit.lastindex or 0) - 1]] for hit in hits))

    return find


find_genres = _finder({name: (*genre.aliases, *genre.flavours) for name, genre in GENRES.items()})
find_instruments = _finder(INSTRUMENTS)
find_moods = _finder({name: mood.aliases for name, mood in MOODS.items()})


def spelled_like(word: str, table: Mapping[str, Words]) -> str | None:
    """The entry of `table` with the name most like `word`, or None when nothing is close."""
    names = _names(table)
    matches = difflib.get_close_matches(word.lower().strip(), names, n=1, cutoff=0.75)
    return names[matches[0]] if matches else None
