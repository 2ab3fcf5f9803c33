"""What ACE-Step is told of a direction and a film: caption, tempo, key, and the form in structure tags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from worker.domain import TONICS, Clip, Direction, Scene
from worker.pipeline.direct.keys import find_key

SECTION_S = 6.0
"""Shorter scenes are one section with what comes before them: music has no form at the pace of cuts."""
CLEARLY = 0.1
"""A section this much livelier or calmer than the one before is told as such."""


class Wording(NamedTuple):
    caption: str
    bpm: int
    keyscale: str


def worded(direction: Direction, fits: Callable[[Wording], bool]) -> Wording:
    """The lead instrument first, since there is one and it is heard by its place; then as much of the rest as `fits`."""
    lead, *others = [*direction.instruments, ""]
    parts = [lead, direction.prompt, *others, direction.genre, direction.mood, direction.description]
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


def form(clip: Clip) -> str:
    """A structure tag a section: how the film opens, builds, calms down and ends. Tags without words make an instrumental."""
    sections = _sections(clip.scenes, clip.duration_s)
    if len(sections) < 2:
        return "[Instrumental]"
    liveliest = max(range(1, len(sections) - 1), key=sections.__getitem__, default=-1)
    tags = ["[Intro]"]
    for place in range(1, len(sections) - 1):
        step = sections[place] - sections[place - 1]
        if place == liveliest and step > CLEARLY:
            tags.append("[Drop]")
        else:
            tags.append("[Build]" if step > CLEARLY else "[Breakdown]" if step < -CLEARLY else "[Instrumental]")
    return "\n\n".join([*tags, "[Outro]"])


def _sections(scenes: Sequence[Scene], duration_s: float) -> list[float]:
    """How lively each section is, 0..1."""
    starts: list[tuple[float, float]] = []
    for scene in scenes:
        if not starts or (scene.start_s - starts[-1][0] >= SECTION_S and duration_s - scene.start_s >= SECTION_S / 2):
            starts.append((scene.start_s, 0.7 * scene.motion + 0.3 * scene.brightness))
    return [level for _, level in starts]
