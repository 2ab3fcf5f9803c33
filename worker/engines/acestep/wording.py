"""What ACE-Step is told of a direction: caption, tempo and key."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from worker.domain import TONICS, Direction
from worker.pipeline.direct.keys import find_key

LOOPING = "seamless loop"


class Wording(NamedTuple):
    caption: str
    bpm: int
    keyscale: str


def worded(direction: Direction, fits: Callable[[Wording], bool], *, loop: bool = False) -> Wording:
    """The lead instrument first, since there is one and it is heard by its place; then as much of the rest as `fits`."""
    lead, *others = [*direction.instruments, ""]
    parts = [
        lead,
        LOOPING if loop else "",
        direction.prompt,
        *others,
        direction.genre,
        direction.mood,
        direction.description,
    ]
    caption = ""
    bpm, keyscale = round(direction.tempo_bpm), keyscale_of(direction.key)
    for part in filter(None, (" ".join(part.split()) for part in parts)):
        if part.lower() in caption.lower():
            continue
        longer = f"{caption}, {part}" if caption else part
        if fits(Wording(longer, bpm, keyscale)):
            caption = longer
        elif part == " ".join(direction.prompt.split()):  # a user's own words are cut, never dropped
            caption = _cut(caption, part, lambda text: fits(Wording(text, bpm, keyscale)))
    return Wording(caption, bpm, keyscale)


def _cut(caption: str, part: str, fits: Callable[[str], bool]) -> str:
    for word in part.split():
        longer = f"{caption} {word}" if caption else word
        if not fits(longer):
            break
        caption = longer
    return caption


def keyscale_of(key: str) -> str:
    """ "D minor" as it stands; other modes by their third: dorian and phrygian are minor, lydian and mixolydian major."""
    found = find_key(key)
    return f"{TONICS[found.tonic]} {'minor' if found.is_dark else 'major'}" if found else ""
