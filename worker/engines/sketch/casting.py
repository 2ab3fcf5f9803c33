"""Casting: who plays what, from the words of a direction."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from worker.domain import Direction
from worker.engines.sketch.patches import PATCHES
from worker.engines.sketch.styles import STYLES
from worker.pipeline.direct.vocabulary import (
    BASSES,
    GENRES,
    INSTRUMENTS,
    PERCUSSION,
    find_genres,
    find_instruments,
    find_moods,
    spelled_like,
)

_NO_DRUMS = re.compile(
    r"\b(?:no|without|drumless|beatless)\b[^.,;]{0,20}\b(?:drums?|percussion|beats?)\b|\bdrumless\b|\bbeatless\b"
)
_NOT = re.compile(r"\b(?:no|without)\b[^.,;]*", re.IGNORECASE)
_KITS = {"electronic drums": "machine", "brushed drums": "brushes", "timpani": "orchestral", "hand percussion": "hands"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The players; "" means nobody."""

    lead: str
    comp: str
    pad: str
    bass: str = ""
    arp: str = ""
    counter: str = ""
    drums: bool = False
    kit: str = "hands"


def genre_of(direction: Direction) -> str:
    """The genre a direction is played in: the one named, else the nearest word, else by tempo."""
    for text in (direction.genre, direction.prompt, direction.description):
        if named := find_genres(text):
            return named[0]
    for word in re.findall(r"[\w&-]+", direction.genre.lower()):
        if close := spelled_like(word, {name: genre.aliases for name, genre in GENRES.items()}):
            return close
    if direction.tempo_bpm < 80:
        return "ambient" if "calm" in find_moods(direction.mood) else "neoclassical"
    return "cinematic" if direction.tempo_bpm < 118 else "house"


def cast(direction: Direction, genre: str, excluded: str = "") -> Cast:
    """Give every instrument the direction names a part, and let the genre's style fill the rest.

    `excluded` is the wish for what must not be heard (the job's negative prompt).
    """
    style = STYLES[genre]
    named = _instruments(direction)
    unwanted = set(find_instruments(excluded))
    players = [name for name in named if name not in PERCUSSION | BASSES | unwanted]
    told = f"{direction.prompt} {direction.description}".lower()
    if len(players) == len(named) == 1 and re.search(r"\bsolo\b|\balone\b", told):
        (name,) = players
        hands = PATCHES[name].chordal and not PATCHES[name].sustained  # else several players of it
        return Cast(lead="" if name == "synth pad" else name, comp=name if hands else "", pad="" if hands else name)
    lead = next((name for name in players if name != "synth pad"), "" if players else style.lead)
    rest = [name for name in players if name != lead]
    comp = _take(rest, lambda name: PATCHES[name].chordal and not PATCHES[name].sustained)
    pad = _take(rest, lambda name: PATCHES[name].sustained and PATCHES[name].chordal) or style.pad
    if not comp:
        comp = lead if lead in {"piano", "electric piano"} else style.comp  # they have two hands
    if comp == "electric guitar" and style.comping[1] in {"chops", "skank"}:
        comp = "electric guitar clean"
    bass = next((name for name in named if name in BASSES), style.bass)
    left_out = len(named) >= 3 and GENRES[genre].energy < 0.6  # a full list without drums means none
    refused = bool(unwanted & PERCUSSION) or bool(_NO_DRUMS.search(direction.description.lower()))
    kit = next((_KITS[name] for name in named if name in _KITS), style.kit or "hands")
    return Cast(
        lead=lead,
        comp=comp,
        pad=pad,
        bass="" if bass in unwanted else bass,
        arp="" if style.arp in unwanted else style.arp,
        counter=rest[0] if rest else "",
        drums=not refused and bool(PERCUSSION & set(named) or (style.drums and not left_out)),
        kit=style.kit if kit == "machine" and style.kit in {"retro", "dusty"} else kit,
    )


def recast(players: Cast, direction: Direction, genre: str, excluded: str, prompt: str) -> Cast:
    """Who plays where `prompt` is heard beside the direction: the instruments it names, else those of a genre it names, before the others."""
    unwanted = " ".join(_NOT.findall(prompt))
    wanted = _NOT.sub("", prompt)
    named = find_instruments(wanted)
    if not named and (genres := find_genres(wanted)):
        style = STYLES[genres[0]]
        named = tuple(dict.fromkeys(name for name in (style.lead, style.comp, style.pad) if name))
    if not named and not unwanted:
        return players
    heard = replace(direction, instruments=(*named, *direction.instruments), description=prompt)
    drums = bool(PERCUSSION & set(named)) or (players.drums and not _NO_DRUMS.search(prompt.lower()))
    return replace(cast(heard, genre, f"{excluded} {unwanted}"), drums=drums, kit=players.kit)


def _instruments(direction: Direction) -> list[str]:
    """Known names for what the direction asks for, in its order."""
    found = (find_instruments(words) or [spelled_like(words, INSTRUMENTS)] for words in direction.instruments)
    return list(dict.fromkeys(name for names in found for name in names if name))


def _take(names: list[str], fits: Callable[[str], bool]) -> str:
    """Remove the first name that fits and return it; "" when none does."""
    taken = next(filter(fits, names), "")
    if taken:
        names.remove(taken)
    return taken
