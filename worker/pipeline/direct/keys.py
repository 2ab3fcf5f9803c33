"""Keys: a tonic and a mode, read from the ways people write them in the languages of music."""

import re
import unicodedata
from dataclasses import dataclass

from worker.domain import TONICS

MODES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
"""Semitones above the tonic of each mode's seven degrees."""

_LETTERS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_GERMAN = _LETTERS | {"h": 11}
_GERMAN |= {letter + end: pitch + step for letter, pitch in _GERMAN.items() for end, step in (("is", 1), ("es", -1))}
_GERMAN |= {"as": 8, "es": 3, "b": 10}
"""H is what others call B, and B is B flat."""
_SUNG = {"do": 0, "ut": 0, "re": 2, "mi": 4, "fa": 5, "sol": 7, "la": 9, "si": 11}
_SHARP = "#|♯|sharp|diese|diesis|sostenido|sustenido"
_FLAT = "b|♭|flat|bemolle|bemol"
MODE_NAMES = {
    **{name: name for name in MODES},
    **dict.fromkeys(("maj", "majeur", "mayor", "maior", "maggiore", "dur", "ionian"), "major"),
    **dict.fromkeys(("min", "mineur", "menor", "minore", "moll", "m", "aeolian"), "minor"),
}
_KEY = re.compile(
    rf"(?<![\w'])(?:(?P<tonic>[a-h]|{'|'.join(_SUNG)})(?:[ -]?(?:(?P<sharp>{_SHARP})|(?P<flat>{_FLAT})))?|(?P<german>[a-h]i?e?s))"
    rf"[ -]?(?:(?:natural|harmonic|melodic) )?(?P<mode>{'|'.join(sorted(MODE_NAMES, key=len, reverse=True))})(?!\w)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """`tonic` is a pitch class, 0 for C to 11 for B."""

    tonic: int
    mode: str

    def __str__(self) -> str:
        return f"{TONICS[self.tonic]} {self.mode}"

    @property
    def degrees(self) -> tuple[int, ...]:
        """Pitch classes of the seven degrees, tonic first."""
        return tuple((self.tonic + step) % 12 for step in MODES[self.mode])

    @property
    def is_dark(self) -> bool:
        """Whether the third is minor."""
        return MODES[self.mode][2] == 3


def plain(text: str) -> str:
    """The text without accents, ligatures and curly apostrophes, as people write it in a hurry."""
    text = text.replace("œ", "oe").replace("ß", "ss").replace("’", "'")
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))


def find_key(text: str) -> Key | None:
    """The first key named in `text` ("in D minor", "F# MAJOR", "Bbm", "fis-Moll", "si bémol majeur"), or None."""
    for match in _KEY.finditer(plain(text)):
        name, mode = (match["tonic"] or match["german"]).lower(), match["mode"].lower()
        if mode == "m" and not (match["mode"] == "m" and name.upper() == match["tonic"]):
            continue  # a short m follows a capital: Am is a key, am is not
        tonic = (_GERMAN if mode in {"dur", "moll"} else _LETTERS | _SUNG).get(name)
        if tonic is not None:
            tonic += bool(match["sharp"]) - bool(match["flat"])
            return Key(tonic=tonic % 12, mode=MODE_NAMES[mode])
    return None
