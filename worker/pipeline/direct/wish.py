"""What a user asks for, read from plain English. Tolerant: whatever is not understood is simply not a wish."""

import re
from dataclasses import dataclass

from worker.pipeline.direct.keys import Key, find_key
from worker.pipeline.direct.vocabulary import PERCUSSION, find_genres, find_instruments, find_moods

_TEMPO_WORDS = {
    (56.0, 82.0): r"slow|slowly|adagio|largo|lento|downtempo|ballad|lullaby|unhurried",
    (86.0, 114.0): r"mid-?tempo|medium tempo|moderate|andante|moderato|walking pace",
    (
        122.0,
        164.0,
    ): r"fast|faster|quick|uptempo|up-tempo|rapid|allegro|presto|vivace|high tempo|fast-paced|racing|frantic",
}
_BPM = re.compile(r"(?<![\d.])(\d{2,3}(?:\.\d+)?)\s*-?\s*(?:bpm|beats per minute)", re.IGNORECASE)
_NOT = re.compile(
    r"\b(?:no|not|without|avoid|don't want|dont want|do not want|never|except|minus|less)\b(?P<what>[^.,;!?\n]{0,40}?)(?=[.,;!?\n]|\bbut\b|\bjust\b|\bonly\b|\bwith\b|$)"
)
_KEY_ASKED = re.compile(
    r"\b([A-G](?:[ -]?(?:#|♯|♭|b|sharp|flat))?[ -]?(?:major|minor|maj|min|m|dorian|phrygian|lydian|mixolydian))\b(?!')"
)
_MODE = re.compile(r"\b(major|minor|dorian|phrygian|lydian|mixolydian)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    genres: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    unwanted: frozenset[str] = frozenset()
    """Instruments that must not play."""
    tempo_bpm: float | None = None
    """An exact number."""
    tempo_range: tuple[float, float] | None = None
    """From a word such as "slow"."""
    key: Key | None = None
    mode: str | None = None
    solo: bool = False


def read_wish(text: str) -> Wish:
    """Genres, instruments, moods, tempo and key in `text`; things after "no" or "without" are unwanted."""
    lowered = text.lower()
    refused = " ".join(match["what"] for match in _NOT.finditer(lowered))
    wanted = _NOT.sub(" ", lowered)
    unwanted = set(find_instruments(refused))
    if unwanted & PERCUSSION or re.search(r"\bbeats?\b|\brhythm\b", refused):
        unwanted |= PERCUSSION
    genres, instruments = find_genres(wanted), find_instruments(wanted)
    bpm = _BPM.search(wanted)
    key = _KEY_ASKED.search(text)
    mode = _MODE.search(wanted)
    return Wish(
        genres=tuple(genre for genre in genres if genre not in find_genres(refused)),
        instruments=tuple(name for name in instruments if name not in unwanted),
        moods=find_moods(wanted),
        unwanted=frozenset(unwanted),
        tempo_bpm=min(220.0, max(40.0, float(bpm[1]))) if bpm else None,
        tempo_range=next(
            (span for span, words in _TEMPO_WORDS.items() if re.search(rf"\b(?:{words})\b", wanted)), None
        ),
        key=find_key(key[1]) if key else None,
        mode=mode[1] if mode else None,
        solo=bool(re.search(r"\bsolo\b|\bonly\b|\bjust\b|\balone\b", wanted)) and len(instruments) == 1,
    )
