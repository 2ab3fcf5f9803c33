"""Room for speech: where somebody speaks nobody sings over it, and what goes on is thin and soft."""

from collections.abc import Iterable, Sequence

from worker.domain import Span
from worker.engines.sketch.score import Note, Part

_SOLOISTS = frozenset({"lead", "counter", "arp"})
_BREATH_S = 1.5
"""A soloist does not come in for less than this between two spans."""
_AHEAD_S, _SHORTEST_S = 0.15, 0.12
_SOFTLY = {"pad": 0.6, "comp": 0.75}


def leave_room(parts: Sequence[Part], speech: Sequence[Span], final_s: float) -> None:
    """Lead, counter and arpeggio rest while somebody speaks, pads thin out to two voices, and chords are played softly.

    The last chord, at `final_s`, is struck by all. Notes elsewhere stay as they are.
    """
    if not speech:
        return
    spoken = _joined(speech)
    for part in parts:
        if part.role in _SOLOISTS:
            part.notes = [shorter for note in part.notes if (shorter := _resting(note, spoken, final_s))]
        elif part.role in _SOFTLY:
            quiet = {note for note in part.notes if _covered(note, spoken) and note.start_s < final_s - _SHORTEST_S}
            kept = set(_outer(quiet)) if part.role == "pad" else quiet
            part.notes = [
                note._replace(velocity=max(0.05, note.velocity * _SOFTLY[part.role])) if note in quiet else note
                for note in part.notes
                if note in kept or note not in quiet
            ]


def share(speech: Sequence[Span], start_s: float, end_s: float) -> float:
    """How much of a stretch somebody speaks, 0..1."""
    spoken_s = sum(max(0.0, min(span.end_s, end_s) - max(span.start_s, start_s)) for span in speech)
    return spoken_s / max(1e-9, end_s - start_s)


def _joined(speech: Sequence[Span]) -> list[tuple[float, float]]:
    spans: list[tuple[float, float]] = []
    for span in speech:
        if spans and span.start_s - spans[-1][1] < _BREATH_S:
            spans[-1] = spans[-1][0], span.end_s
        else:
            spans.append((max(0.0, span.start_s - _AHEAD_S), span.end_s))
    return spans


def _resting(note: Note, spoken: Sequence[tuple[float, float]], final_s: float) -> Note | None:
    """The note, shortened to where somebody begins to speak, or None where somebody does."""
    if note.start_s > final_s - _SHORTEST_S:
        return note
    for start_s, end_s in spoken:
        if note.start_s < end_s and note.start_s + note.length_s > start_s:
            left_s = start_s - note.start_s
            return note._replace(length_s=left_s) if left_s >= _SHORTEST_S else None
    return note


def _covered(note: Note, spoken: Sequence[tuple[float, float]]) -> bool:
    middle_s = note.start_s + note.length_s / 2
    return any(start_s <= middle_s < end_s for start_s, end_s in spoken)


def _outer(notes: Iterable[Note]) -> list[Note]:
    """Of each chord the lowest and the highest note."""
    kept: list[Note] = []
    chord: list[Note] = []
    for note in [*sorted(notes), None]:
        if chord and (note is None or note.start_s - chord[-1].start_s > 0.05):
            by_pitch = sorted(chord, key=lambda one: one.pitch)
            kept += {by_pitch[0], by_pitch[-1]}
            chord = []
        if note is not None:
            chord.append(note)
    return kept
