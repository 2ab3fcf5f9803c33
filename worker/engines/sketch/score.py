"""A score: what is played when. Times are seconds from the start of the video, pitches MIDI numbers."""

from dataclasses import dataclass
from typing import NamedTuple

from worker.domain import Span
from worker.engines.sketch.bars import Bar
from worker.engines.sketch.styles import Style
from worker.pipeline.direct.keys import Key


class Note(NamedTuple):
    start_s: float
    length_s: float
    pitch: int
    velocity: float
    """0..1: loudness and brightness."""


class Hit(NamedTuple):
    """One stroke of percussion."""

    start_s: float
    sound: str
    velocity: float


@dataclass(slots=True)
class Part:
    """The notes of one player."""

    role: str
    """lead, counter, comp, pad, arp or bass."""
    instrument: str
    notes: list[Note]


@dataclass(slots=True, kw_only=True)
class Score:
    """Everything a performance needs."""

    duration_s: float
    bpm: float
    bars: tuple[Bar, ...]
    """Up to the last chord, each where the one before it ends."""
    parts: list[Part]
    hits: list[Hit]
    sections: tuple[tuple[float, float], ...]
    """Where each section begins, seconds, and its energy 0..1."""
    final_s: float
    """When the last chord is struck, which rings to the end."""
    rests: tuple[Span, ...] = ()
    """Where only what was struck before rings."""
    loops: bool = False
    """What rings beyond the end rings at the beginning."""
    mended: Span | None = None
    """What another seed made."""
    key: Key
    style: Style
    kit: str
