"""Moments: where something was asked for everybody is there at once, and after a stop nobody."""

import itertools
from collections.abc import Callable, Sequence

from worker.domain import Span
from worker.engines.sketch.harmony import Chord, nearest_pitch, voicing
from worker.engines.sketch.kit import RISE_S
from worker.engines.sketch.patches import PATCHES
from worker.engines.sketch.score import Hit, Note, Part
from worker.engines.sketch.take import Frame
from worker.engines.sketch.timeline import Timeline

_BEFORE_S, _AFTER_S = 0.15, 0.06
"""Who plays so shortly before or after a moment plays at it: a stroke before would drown it, one behind blur it."""
_STAB_S, _HELD_S = 0.2, 0.8
_SHORTEST_S = 0.03
_GAP_S, _EARLY_S, _SHARP_S = 0.3, 0.025, 0.06
"""Of bows and winds: the silence before a stroke, by how much it is begun early, and how long its sharp part is."""
_CLOSE_S = 0.7
"""What rings or is loud would drown a hit that comes so soon."""
_ORDER = ("comp", "arp", "lead", "counter", "bass", "pad")
"""Who strikes, where nobody drums: the first that strikes at all, else the first."""
_STROKES: dict[str, dict[str, float]] = {
    "accent": {"crash": 0.9, "snare": 0.8, "kick": 1.0},
    "downbeat": {"crash": 0.9, "snare": 0.8, "kick": 1.0},
    "drop": {"crash": 1.0, "snare": 1.0, "kick": 1.0, "floor tom": 1.0},
    "stop": {"snare": 1.0, "kick": 1.0, "floor tom": 0.8},
}


def meet(
    parts: Sequence[Part], strokes: list[Hit], timeline: Timeline, chord_at: Callable[[float], Chord], frame: Frame
) -> None:
    """Strike every hit when it was asked for, to the sample, and silence what would sound in a rest. After the last chord all are strong."""
    for hit in timeline.hits:
        for part in parts:
            part.notes = [_gathered(note, hit.at_s) for note in part.notes]
        strokes[:] = [
            stroke._replace(start_s=hit.at_s)
            if _belongs(stroke.start_s, hit.at_s) and stroke.sound != "rise"
            else stroke
            for stroke in strokes
        ]
    for rest in timeline.rests:
        _silence(parts, strokes, rest)
    for hit, following in itertools.zip_longest(timeline.hits, timeline.hits[1:]):
        held_s = _STAB_S if any(rest.start_s <= hit.at_s < rest.end_s for rest in timeline.rests) else _HELD_S
        players = frame.cast_at(hit.at_s)
        if soon := following is not None and following.at_s - hit.at_s < _CLOSE_S:
            held_s = _STAB_S
        if players.drums:
            struck = _STROKES[hit.kind if hit.at_s < timeline.final_s else "drop"]
            strokes[:] = [stroke for stroke in strokes if stroke.start_s != hit.at_s or stroke.sound not in struck]
            strokes += [
                Hit(hit.at_s, sound, loud) for sound, loud in struck.items() if held_s > _STAB_S or sound != "crash"
            ]
        here = [
            part for role in _ORDER for part in parts if part.role == role and part.instrument == getattr(players, role)
        ]
        _strike(here, hit.at_s, held_s, chord_at(hit.at_s), alone=not players.drums, soon=soon)
    for part in parts:
        part.notes.sort()
    strokes.sort()


def _belongs(start_s: float, at_s: float) -> bool:
    return -_BEFORE_S < start_s - at_s < _AFTER_S


def _gathered(note: Note, at_s: float) -> Note:
    if not _belongs(note.start_s, at_s):
        return note
    return Note(at_s, max(_SHORTEST_S, note.start_s + note.length_s - at_s), note.pitch, note.velocity)


def _silence(parts: Sequence[Part], strokes: list[Hit], rest: Span) -> None:
    """Nothing is struck in a rest, and what was held ends with it; strings, cymbals and rooms ring."""
    for part in parts:
        part.notes = [
            note._replace(length_s=min(note.length_s, _STAB_S if note.start_s == rest.start_s else rest.start_s - note.start_s))
            if note.start_s <= rest.start_s
            else note
            for note in part.notes
            if not rest.start_s < note.start_s < rest.end_s - _AFTER_S and not 0 < rest.start_s - note.start_s < _SHORTEST_S
        ]  # fmt: skip
    strokes[:] = [
        stroke
        for stroke in strokes
        if not rest.start_s < stroke.start_s + RISE_S * (stroke.sound == "rise") < rest.end_s - _AFTER_S
        and not (rest.start_s < stroke.start_s < rest.end_s - _AFTER_S)
        and not (stroke.sound == "rise" and stroke.start_s < rest.start_s < stroke.start_s + RISE_S)
        and not (stroke.sound in {"crash", "open", "rise"} and stroke.start_s == rest.start_s)
    ]


def _strike(parts: Sequence[Part], at_s: float, held_s: float, chord: Chord, *, alone: bool, soon: bool) -> None:
    """A chord of one player, or more of it if there is one already; who strikes alone does so with all its weight.

    Where all bow or blow they let go first, and begin it sharply and a hair early: their tones rise slowly.
    """
    striking = [part for part in parts if not PATCHES[part.instrument].sustained and part.role != "bass"]
    loud = 1.0 if not soon else 0.85 if striking else 0.6
    if alone and not striking:
        for part in parts:
            part.notes = [_let_go(note, at_s) for note in part.notes]
    for part in (striking or parts)[:2] if alone else parts[:1]:
        centre = PATCHES[part.instrument].centre
        played = {note.pitch for note in part.notes if note.start_s == at_s}
        chordal = PATCHES[part.instrument].chordal and part.role != "bass"
        wanted = voicing(chord, 3, None, min(67, centre - 3)) if chordal else ()
        root = nearest_pitch(centre - 19 if part.role != "bass" else centre, (chord.root,))
        pitches = {*wanted, root, root + 12} if alone and wanted else {*wanted} or {root}
        part.notes = [
            note._replace(velocity=max(note.velocity, loud)) if note.start_s == at_s else note for note in part.notes
        ]
        if len(played) < 2:
            softly = _SHARP_S if held_s == _STAB_S and not striking else held_s
            part.notes += [Note(at_s, softly, pitch, loud) for pitch in sorted(pitches - played)]
        if alone and not striking:
            sharp = sorted(pitches | {pitch + 12 for pitch in pitches})
            part.notes += [Note(max(0.0, at_s - _EARLY_S), _SHARP_S, pitch, loud) for pitch in sharp]


def _let_go(note: Note, at_s: float) -> Note:
    left_s = at_s - _GAP_S - note.start_s
    return note._replace(length_s=min(note.length_s, left_s)) if left_s > _SHORTEST_S and note.start_s < at_s else note
