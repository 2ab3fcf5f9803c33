"""Keys: a tonic and a mode, read from the ways people write them."""

import re
from dataclasses import dataclass

MODES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
"""Semitones above the tonic of each mode's seven degrees."""

TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SHIFTS = {"#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1, "": 0}
_SHORT = {"maj": "major", "min": "minor", "m": "minor", "dur": "major", "moll": "minor", "": "major"}

_KEY = re.compile(
    r"(?<![\w'])(?P<letter>[A-Ga-g])[ -]?(?P<shift>#|♯|♭|b|sharp|flat|)[ -]?"
    rf"(?P<mode>{'|'.join(MODES)}|maj|min|m|dur|moll)(?!\w)"
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


def find_key(text: str) -> Key | None:
    """The first key named in `text` ("in D minor", "F# major", "Bbm"), or None."""
    match = _KEY.search(text)
    if match is None:
        return None
    tonic = _LETTERS[match["letter"].upper()] + _SHIFTS[match["shift"]]
    return Key(tonic=tonic % 12, mode=_SHORT.get(match["mode"], match["mode"]))
