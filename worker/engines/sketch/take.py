"""A take: the players' notes on a frame that is the same for every seed, as written and as played."""

import bisect
import copy
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from worker.engines.sketch import accompany
from worker.engines.sketch.bars import ROUNDING_S
from worker.engines.sketch.casting import Cast
from worker.engines.sketch.drumming import drum
from worker.engines.sketch.harmony import Chord, chord, ground, nearest_pitch, voicing
from worker.engines.sketch.measures import Measure
from worker.engines.sketch.melody import sing
from worker.engines.sketch.patches import PATCHES
from worker.engines.sketch.score import Hit, Note, Part
from worker.engines.sketch.styles import Style
from worker.engines.sketch.timeline import Timeline
from worker.pipeline.direct.keys import Key

_HAND_S = 0.016
"""Notes of one chord follow each other by no more than a strum does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What is fixed before anybody plays."""

    duration_s: float
    timeline: Timeline
    key: Key
    style: Style
    casts: tuple[Cast, ...]
    """Who plays, section by section; at least one."""
    words: str
    """What chance depends on beside the seed."""

    @property
    def home(self) -> Chord:
        return chord(self.key, "1", min(self.style.chord_size, 4))

    def cast_at(self, time_s: float) -> Cast:
        later = bisect.bisect([section.start_s for section in self.timeline.sections], time_s + ROUNDING_S)
        return self.casts[min(max(0, later - 1), len(self.casts) - 1)]

    def dice(self, seed: int) -> np.random.Generator:
        return np.random.default_rng([seed, zlib.crc32(self.words.encode())])


@dataclass(slots=True)
class Voice:
    """A player's notes, each with when it is written to begin."""

    role: str
    instrument: str
    notes: list[tuple[float, Note]]


@dataclass(slots=True, kw_only=True)
class Take:
    measures: list[Measure]
    low: dict[Cast, list[int]]
    """The bass under each measure and the last chord."""
    voices: list[Voice]
    strokes: list[tuple[float, Hit]]


def take(
    frame: Frame, measures: list[Measure], rng: np.random.Generator, held: dict[Cast, dict[int, int]] | None = None
) -> Take:
    """Let all play over `measures`; `held` are basses that are given, by the numbers of the measures."""
    style, timeline = frame.style, frame.timeline
    steady = [not style.inverts or measure.place == 0 or measure is measures[-1] for measure in measures]
    chords = [
        *(measure.chord for measure in measures),
        measures[0].chord if timeline.loops and measures else frame.home,
    ]
    lows: dict[Cast, list[int]] = {}
    bands: list[tuple[Cast, list[Part]]] = []
    tune = copy.deepcopy(rng)
    for players in dict.fromkeys(frame.casts):
        low = ground(
            chords,
            [not must for must in (*steady, True)],
            _low(players.bass or "upright bass"),
            (held or {}).get(players, {}),
        )
        if timeline.loops:
            low[-1] = low[0]
        lows[players] = low
        # Another player has the same tune.
        parts = _parts(measures, frame.key, style, players, low, copy.deepcopy(tune) if bands else rng)
        bands.append((players, parts))
    drums = any(players.drums for players in frame.casts)
    strokes = drum(measures, style, rng) if drums else []
    for players, parts in bands:
        if not timeline.loops and players == frame.casts[-1]:
            _land(parts, strokes if players.drums else [], frame, (lows[players][-2:][0], lows[players][-1]))
        _accent(parts, measures, timeline, drums=players.drums and bool(strokes))
    if drums:
        strokes += [
            Hit(time_s, sound, loud) for time_s in timeline.accents_s for sound, loud in (("crash", 0.5), ("kick", 0.8))
        ]
    spread, phrase_s = style.looseness_ms / 1000 * 0.6, 960 / timeline.bpm
    voices = [
        Voice(
            part.role,
            part.instrument,
            [one for one in _played(part, spread, phrase_s, rng) if frame.cast_at(one[0]) == players],
        )
        for players, parts in bands
        for part in parts
    ]
    shifts = 0.4 * spread * rng.standard_normal(len(strokes))
    played = [
        (stroke.start_s, stroke._replace(start_s=max(0.0, stroke.start_s + float(shift))))
        for stroke, shift in zip(strokes, shifts, strict=True)
    ]
    return Take(
        measures=measures,
        low=lows,
        voices=voices,
        strokes=[one for one in played if frame.cast_at(one[0]).drums],
    )


def _low(instrument: str) -> int:
    """Where an instrument plays a bass; the cello usually sings above that."""
    return 43 if instrument == "cello" else PATCHES[instrument].centre


def _parts(
    measures: list[Measure], key: Key, style: Style, players: Cast, low: list[int], rng: np.random.Generator
) -> list[Part]:
    parts: list[Part] = []
    if pad := players.pad:
        parts.append(Part("pad", pad, accompany.pad(measures, style, min(66, PATCHES[pad].centre - 5), low)))
    if comp := players.comp:
        centre = 55 if comp == players.lead else min(64, PATCHES[comp].centre - 7)  # one player's left hand
        parts.append(Part("comp", comp, accompany.comp(measures, style, comp, centre, low)))
    if bass := players.bass:
        parts.append(Part("bass", bass, accompany.bass(measures, key, style, _low(bass), low)))
    if arp := players.arp:
        parts.append(Part("arp", arp, accompany.arpeggio(measures, style, rng, low)))
    if counter := players.counter:
        parts.append(Part("counter", counter, accompany.counter(measures, PATCHES[counter].centre - 7)))
    if lead := players.lead:
        parts.append(Part("lead", lead, sing(measures, key, style, PATCHES[lead].centre, rng)))
    return parts


def _land(parts: list[Part], strokes: list[Hit], frame: Frame, low: tuple[int, int]) -> None:
    """Everybody meets on the tonic and lets it ring."""
    start, home = frame.timeline.final_s, frame.home
    length = frame.duration_s - start
    for part in parts:
        before = [note.pitch for note in part.notes[-4:]]
        centre = PATCHES[part.instrument].centre
        match part.role:
            case "pad" | "comp":
                pitches = voicing(
                    home, 4, tuple(sorted(before)) if len(before) == 4 else None, min(64, centre - 5), low
                )
            case "bass":
                pitches = (low[1],)
            case "arp":
                continue
            case _:
                pitches = (nearest_pitch(before[-1] if before else centre, sorted(home.triad)),)
        lag = 0.02 if part.role == "comp" else 0.0
        part.notes += [
            Note(start + number * lag, length - number * lag, pitch, 0.75) for number, pitch in enumerate(pitches)
        ]
    if strokes:
        strokes += [
            Hit(start, "crash", 0.6),
            Hit(start, "taiko" if frame.style.drums in {"epic", "tribal"} else "kick", 0.85),
        ]


def _accent(parts: list[Part], measures: list[Measure], timeline: Timeline, *, drums: bool) -> None:
    """Cuts that no bar line reaches still get a mark, and where nobody drums a section on a cut begins with weight."""
    comp = next((part for part in parts if part.role == "comp"), None)
    if not comp:
        return
    for measure in measures:
        if measure.on_cut and not drums:
            bar = measure.bar
            root = nearest_pitch(PATCHES[comp.instrument].centre - 24, (measure.chord.root,))
            comp.notes += [Note(bar.start_s, 2 * bar.beat_s, pitch, 0.95) for pitch in (root, root + 12)]
    for time_s in timeline.accents_s:
        measure = [m for m in measures if m.bar.start_s <= time_s + ROUNDING_S][-1]
        chord_of_three = voicing(measure.chord, 3, None, 67)
        comp.notes += [Note(time_s, measure.bar.beat_s, pitch, 0.85) for pitch in chord_of_three]


def _played(part: Part, spread: float, phrase_s: float, rng: np.random.Generator) -> Iterator[tuple[float, Note]]:
    """Nobody plays like a machine, except machines. A chord is one hand's: its notes move together, and phrases rise and fall."""
    late = 0.4 * spread if part.role in {"lead", "comp"} else 0.0
    before_s, hand_s, touch = -1.0, 0.0, 1.0
    for note in sorted(part.notes):
        if note.start_s - before_s > _HAND_S:
            hand_s = late + spread * rng.standard_normal()
            touch = 1 + 0.04 * rng.standard_normal() - 0.1 * np.cos(2 * np.pi * note.start_s / phrase_s)
        before_s = note.start_s
        start_s = note.start_s + hand_s + 0.1 * spread * rng.standard_normal()
        loud = min(1.0, max(0.05, note.velocity * touch))
        yield note.start_s, note._replace(start_s=max(0.0, float(start_s)), velocity=float(loud))
