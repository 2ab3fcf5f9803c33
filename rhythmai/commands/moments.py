"""Moments and stretches of a film, as they are typed: 7.3:drop, and 12:"brass, wide":0.8."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from rhythmai.errors import BadInput

KINDS: Final = ("accent", "drop", "stop", "downbeat")
Hits = Annotated[
    list[str] | None,
    typer.Option(
        "--hit",
        metavar="AT[:KIND]",
        help="A moment in seconds that the music meets: accent (default), drop, stop or downbeat; may be repeated. "
        "`none`: no moments, not even those that the director proposes.",
    ),
]
Segments = Annotated[
    list[str] | None,
    typer.Option(
        "--segment",
        metavar="START:PROMPT[:ENERGY]",
        help="From here on other music, as a wish or an energy (0 to 1) or both say; may be repeated.",
    ),
]


def hits_of(texts: list[str]) -> list[dict[str, Any]]:
    """As the API takes them, in order. Raises BadInput."""
    if texts == ["none"]:
        return []
    hits = []
    for text in texts:
        at, colon, kind = text.partition(":")
        if colon and kind not in KINDS:
            raise BadInput(f"--hit {text}: the kind is {', '.join(KINDS[:-1])} or {KINDS[-1]}")
        hits.append({"at": _seconds("--hit", text, at), "kind": kind or KINDS[0]})
    return sorted(hits, key=lambda hit: float(hit["at"]))


def segments_of(texts: list[str]) -> list[dict[str, Any]]:
    """As the API takes them, in order. Raises BadInput."""
    segments = []
    for text in texts:
        start, _, rest = text.partition(":")
        prompt, _, energy = rest.rpartition(":")
        level = _number(energy)
        if level is None and energy:  # a colon that belongs to the wish
            prompt = rest
        elif level is not None and not 0 <= level <= 1:
            raise BadInput(
                f"--segment {text}: the energy is a number from 0 to 1; where {energy} belongs to the wish, write a colon behind it"
            )
        if not prompt.strip() and level is None:
            raise BadInput(
                f"--segment {text} says nothing of the music: write a wish, an energy, or both, like --segment '12:brass, wide:0.8'"
            )
        segment = {"start": _seconds("--segment", text, start), "prompt": prompt.strip() or None, "energy": level}
        segments.append({name: value for name, value in segment.items() if value is not None})
    return sorted(segments, key=lambda segment: float(segment["start"]))


def _seconds(option: str, text: str, said: str) -> float:
    seconds = _number(said)
    if seconds is None or seconds < 0:
        example = "7.3:drop" if option == "--hit" else "12:brass"
        raise BadInput(f"{option} {text}: it begins with a time in seconds, like {option} {example}")
    return seconds


def _number(text: str) -> float | None:
    from math import isfinite

    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None
