"""Mending: the bars of a stretch are written anew with another seed, and everything else stays as it was."""

from dataclasses import replace

import numpy as np

from worker.domain import Samples, Span
from worker.engines.sketch.bars import ROUNDING_S
from worker.engines.sketch.harmony import Chord, chord
from worker.engines.sketch.measures import Measure
from worker.engines.sketch.score import Note
from worker.engines.sketch.take import Frame, Take, Voice, take
from worker.engines.sketch.timeline import Timeline
from worker.engines.sketch.tones import RATE

_OVERLAP_S = 0.05
"""Notes of neighbours may overlap by so much without clashing."""
_NEAR_S, _FADED_S = 3.0, 1.6
"""Loudness is compared this far around what is new, and not where a track fades out."""


def touched(timeline: Timeline, part: Span, duration_s: float) -> Span:
    """The bars that a part touches; the last chord goes with the bar before it."""
    edges = [0.0, *(bar.start_s for bar in timeline.bars[1:])]
    start_s = max(edge for edge in edges if edge <= max(0.0, part.start_s) + ROUNDING_S)
    later = [edge for edge in (*edges, timeline.final_s) if edge >= part.end_s - ROUNDING_S and edge > start_s]
    return Span(start_s=start_s, end_s=min([*later, duration_s]))


def remade(frame: Frame, old: Take, window: Span, seed: int) -> Take:
    """`old`, with what begins in the window from a take of another seed, which comes from the chord before and goes to the one after."""
    rng = frame.dice(seed)
    measures = _others(frame, old.measures, window, rng)
    kept = [number for number, measure in enumerate(measures) if not _begins_in(measure.bar.start_s, window)]
    held = {players: {number: low[number] for number in (*kept, len(measures))} for players, low in old.low.items()}
    new = take(frame, measures, rng, held)
    return Take(
        measures=measures,
        low=new.low,
        voices=[
            Voice(was.role, was.instrument, _spliced(was.notes, now.notes, window))
            for was, now in zip(old.voices, new.voices, strict=True)
        ],
        strokes=[
            *(one for one in old.strokes if not _begins_in(one[0], window)),
            *(one for one in new.strokes if _begins_in(one[0], window)),
        ],
    )


def _begins_in(time_s: float, window: Span) -> bool:
    return window.start_s - ROUNDING_S <= time_s < window.end_s - ROUNDING_S


def _others(frame: Frame, old: list[Measure], window: Span, rng: np.random.Generator) -> list[Measure]:
    """The measures with chords of another progression in the window; its last bar keeps the one that leads on, or has another cadence."""
    inside = [number for number, measure in enumerate(old) if _begins_in(measure.bar.start_s, window)]
    ends = inside == [len(old) - 1]
    free = inside[:-1] if len(inside) > 2 or (inside[-1:] == [len(old) - 1] and not ends) else inside
    style, dark = frame.style, frame.key.is_dark
    pool = ["4", "5!" if dark else "5"] if ends else [*(style.dark if dark else style.bright)]
    ways = [
        [chord(frame.key, symbols[(shift + place // style.bars_per_chord) % len(symbols)], style.chord_size) for place in range(len(free))]
        for symbols in (pool[number].split() for number in rng.permutation(len(pool)))
        for shift in range(len(symbols))
    ]  # fmt: skip
    was = [old[number].chord for number in free]

    def others(way: list[Chord]) -> float:
        return min(0.5, float(np.mean([now != before for now, before in zip(way, was, strict=True)])))

    other = max(ways, key=others) if free else []
    measures = list(old)
    for number, now in zip(free, other, strict=True):
        measures[number] = replace(old[number], chord=now)
    return measures


def _spliced(old: list[tuple[float, Note]], new: list[tuple[float, Note]], window: Span) -> list[tuple[float, Note]]:
    """What begins outside from the old, what begins in the window from the new; nothing is held over an edge."""
    notes = [(at_s, _let_go(note, window.start_s)) for at_s, note in old if not _begins_in(at_s, window)]
    return notes + [(at_s, _let_go(note, window.end_s)) for at_s, note in new if _begins_in(at_s, window)]


def _let_go(note: Note, edge_s: float) -> Note:
    over_s = note.start_s + note.length_s - edge_s
    return note._replace(length_s=note.length_s - over_s) if over_s > _OVERLAP_S and note.start_s < edge_s else note


def as_loud(samples: Samples, kept: Samples, gain_db: float, window: Span) -> Samples:
    """Samples that, raised by `gain_db`, are as loud as the kept track just before and after the window; between, dB go in a line."""
    block = RATE // 10
    count = min(samples.shape[1], kept.shape[1]) // block
    new_db, kept_db = (
        10 * np.log10(np.square(wave[:, : count * block]).mean(axis=0).reshape(count, block).mean(axis=1) + 1e-12)
        for wave in (samples, kept)
    )
    times_s = (np.arange(count) + 0.5) * block / RATE
    usable = (np.minimum(new_db, kept_db) > -60) & (times_s < kept.shape[1] / RATE - _FADED_S)
    off_db = [
        float(np.median((kept_db - new_db)[near]))
        for near in (
            usable & (times_s < window.start_s) & (times_s > window.start_s - _NEAR_S),
            usable & (times_s > window.end_s) & (times_s < window.end_s + _NEAR_S),
        )
        if near.any()
    ]
    if not off_db:
        return samples
    line_db = np.interp(np.arange(samples.shape[1]) / RATE, [window.start_s, window.end_s], [off_db[0], off_db[-1]])
    return np.asarray(samples * 10 ** ((line_db - gain_db) / 20), np.float32)
