"""Casting: who plays what, from the words of a direction."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from worker.domain import Direction
from worker.engines.sketch.patches import PATCHES
from worker.engines.sketch.styles import STYLES, Style
from worker.pipeline.direct.vocabulary import (
    BASSES,
    GENRES,
    INSTRUMENTS,
    PERCUSSION,
    find_genres,
    find_instruments,
    find_moods,
    nearest,
)

_NO_DRUMS = re.compile(
    r"\b(?:no|without|drumless|beatless)\b[^.,;]{0,20}\b(?:drums?|percussion|beats?)\b|\bdrumless\b|\bbeatless\b"
)
_CLEAN = {"chops", "skank"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The players; "" means nobody."""

    lead: str
    comp: str
    pad: str
    bass: str
    arp: str
    counter: str
    drums: bool
    kit: str


def genre_of(direction: Direction) -> str:
    """The style a direction is played in: the genre named, else the nearest word, else by tempo."""
    for text in (direction.genre, direction.prompt, direction.description):
        named = find_genres(text)
        if named:
            return named[0]
    aliases = {alias: name for name, genre in GENRES.items() for alias in (name, *genre.aliases)}
    for word in re.findall(r"[\w&-]+", direction.genre.lower()):
        close = nearest(word, aliases)
        if close:
            return aliases[close]
    if direction.tempo_bpm < 80:
        return "ambient" if "calm" in find_moods(direction.mood) else "neoclassical"
    return "cinematic" if direction.tempo_bpm < 118 else "house"


def cast(direction: Direction, style: Style, excluded: str = "") -> Cast:
    """Give every instrument the direction names a part, and let the style fill the rest.

    `excluded` is the wish for what must not be heard (the job's negative prompt).
    """
    named = _instruments(direction)
    unwanted = set(find_instruments(excluded))
    players = [name for name in named if name not in PERCUSSION | BASSES | unwanted]
    told = f"{direction.prompt} {direction.description}".lower()
    if len(players) == len(named) == 1 and re.search(r"\bsolo\b|\balone\b", told):
        return _solo(players[0], style)
    lead = next((name for name in players if name != "synth pad"), "" if players else style.lead)
    rest = [name for name in players if name != lead]
    comp = _take(rest, lambda name: PATCHES[name].chordal and not PATCHES[name].sustained)
    pad = _take(rest, lambda name: PATCHES[name].sustained and PATCHES[name].chordal) or style.pad
    counter = _take(rest, lambda name: True)
    if not comp:
        two_hands = lead in {"piano", "electric piano"} or (lead == style.comp)
        comp = lead if two_hands else style.comp
    if comp == "electric guitar" and style.comping[1] in _CLEAN:
        comp = "electric guitar clean"
    bass = next((name for name in named if name in BASSES), style.bass)
    percussion = PERCUSSION & set(named)
    left_out = len(named) >= 3 and GENRES[genre_of(direction)].energy < 0.6  # a full list without drums means none
    refused = bool(unwanted & PERCUSSION) or bool(_NO_DRUMS.search(direction.description.lower()))
    return Cast(
        lead=lead,
        comp=comp,
        pad=pad,
        bass="" if bass in unwanted else bass,
        arp="" if style.arp in unwanted else style.arp,
        counter=counter,
        drums=not refused and bool(percussion or (style.drums and not left_out)),
        kit=_kit(named, style),
    )


def _solo(name: str, style: Style) -> Cast:
    """One instrument: two hands where it has them, else several players of it."""
    patch = PATCHES[name]
    hands = name if patch.chordal and not patch.sustained else ""
    lead = "" if name == "synth pad" else name
    return Cast(
        lead=lead, comp=hands, pad="" if hands else name, bass="", arp="", counter="", drums=False, kit=_kit([], style)
    )


def _instruments(direction: Direction) -> list[str]:
    """Known names for what the direction asks for, in its order."""
    names: list[str] = []
    for words in direction.instruments:
        found = find_instruments(words) or tuple(filter(None, [_near(words)]))
        names += [name for name in found if name not in names]
    return names


def _near(words: str) -> str | None:
    aliases = {alias: name for name, others in INSTRUMENTS.items() for alias in (name, *others)}
    close = nearest(words, aliases)
    return aliases[close] if close else None


def _take(names: list[str], fits: Callable[[str], bool]) -> str:
    """Remove the first name that fits and return it; "" when none does."""
    for name in names:
        if fits(name):
            names.remove(name)
            return name
    return ""


def _kit(named: list[str], style: Style) -> str:
    kits = {
        "electronic drums": "machine",
        "brushed drums": "brushes",
        "timpani": "orchestral",
        "hand percussion": "hands",
    }
    asked = next((kits[name] for name in named if name in kits), style.kit or "hands")
    return style.kit if style.kit in {"retro", "dusty"} and asked == "machine" else asked


def style_of(direction: Direction) -> Style:
    return STYLES[genre_of(direction)]
