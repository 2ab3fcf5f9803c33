"""Accompaniment: comping, pads, arpeggios and basses."""

from collections.abc import Iterator, Sequence

import numpy as np

from worker.engines.sketch.harmony import nearest_pitch, voicing
from worker.engines.sketch.measures import Measure, in_bar, swung
from worker.engines.sketch.patterns import BASS_LINES, COMPING
from worker.engines.sketch.score import Note
from worker.engines.sketch.styles import Style
from worker.pipeline.direct.keys import Key

_STRUMMED = {"acoustic guitar", "nylon guitar", "ukulele", "electric guitar clean", "harp"}


def _voiced(measures: Sequence[Measure], centre: int, low: Sequence[int]) -> Iterator[tuple[Measure, tuple[int, ...]]]:
    """Each measure with four voices over the bass's `low` pitches, as near to those before as possible."""
    voices: tuple[int, ...] | None = None
    for number, measure in enumerate(measures):
        voices = voicing(measure.chord, 4, voices, centre, (low[max(0, number - 1)], low[number]))
        yield measure, voices


def comp(measures: Sequence[Measure], style: Style, instrument: str, centre: int, low: Sequence[int]) -> list[Note]:
    """Chords in the rhythm of the style; strings are strummed one after the other."""
    notes: list[Note] = []
    for measure, voices in _voiced(measures, centre, low):
        build = measure.mark == "build" and not style.drums  # else the drums do it
        figure = in_bar(COMPING["pulse" if build else style.comping[measure.energy >= 0.55]], measure.bar)
        lag = (0.014 if measure.energy < 0.5 else 0.009) if instrument in _STRUMMED else 0.0
        for step, length, velocity, what in figure:
            start = measure.bar.at(swung(step, style) / 4)
            held = 0.96 * length * measure.bar.beat_s / 4
            loud = velocity * (0.6 + 0.4 * measure.energy) * (1.15 if measure.on_cut and step == 0 else 1.0)
            for number, pitch in enumerate(_chosen(voices, what, measure)):
                notes.append(Note(start + number * lag, held, pitch, min(1.0, loud * (1 - 0.04 * number))))
    return notes


def _chosen(voices: tuple[int, ...], what: str, measure: Measure) -> tuple[int, ...]:
    if what == "all":
        return voices
    if what == "top":
        return voices[-2:]
    if what == "low":  # root, fifth, octave: what a distorted guitar can bear
        root = nearest_pitch(46, (measure.chord.root,))
        return (root, root + (measure.chord.fifth - root) % 12, root + 12)
    return (voices[int(what) % len(voices)],)


def pad(measures: Sequence[Measure], style: Style, centre: int, low: Sequence[int]) -> list[Note]:
    """Long chords that move only when the harmony does; where the style suspends, a voice on its way down to the third comes late."""
    notes: list[Note] = []
    previous: tuple[int, ...] | None = None
    run: list[Measure] = []
    for number, measure in enumerate(measures):
        run.append(measure)
        after = measures[number + 1] if number + 1 < len(measures) else None
        if after and after.chord == measure.chord and not after.on_cut and after.energy == measure.energy:
            continue
        first = number + 1 - len(run)
        count = 3 if measure.energy < 0.4 else 4
        before = previous or ()
        previous = voicing(measure.chord, count, previous, centre, (low[max(0, first - 1)], low[first]))
        start, end = run[0].bar.start_s, measure.bar.end_s
        loud = 0.45 + 0.45 * measure.energy
        waiting = _suspended(before, previous, run[0]) if style.suspends else None
        for pitch in previous:
            late_s = 2 * run[0].bar.beat_s if waiting and pitch == waiting[1] else 0.0
            if waiting and late_s:
                notes.append(Note(start, late_s, waiting[0], loud))
            notes.append(Note(start + late_s, end - start - late_s, pitch, loud))
        run = []
    return notes


def _suspended(before: tuple[int, ...], now: tuple[int, ...], measure: Measure) -> tuple[int, int] | None:
    """The pitch that is held over and the third it falls to, in every other bar that begins nothing new."""
    if measure.place % 2 == 0 or measure.bar.beats < 4 or len(before) != len(now):
        return None
    third = measure.chord.tones[1]
    falling = [
        (held, pitch) for held, pitch in zip(before, now, strict=True) if pitch % 12 == third and 1 <= held - pitch <= 2
    ]
    return falling[0] if len(falling) == 1 == sum(pitch % 12 == third for pitch in now) else None


def arpeggio(measures: Sequence[Measure], style: Style, rng: np.random.Generator, low: Sequence[int]) -> list[Note]:
    """Sixteenths over the chord once the piece has warmed up."""
    order = [(0, 1, 2, 3), (0, 2, 1, 3), (3, 2, 1, 0), (0, 1, 3, 2)][int(rng.integers(4))]
    notes: list[Note] = []
    for measure, voices in _voiced(measures, 71, low):
        if measure.energy < 0.55:
            continue
        for step in range(4 * measure.bar.beats):
            pitch = voices[order[step % 4]] + (12 if step % 8 == 7 else 0)
            start = measure.bar.at(swung(step, style) / 4)
            loud = (0.7 if step % 4 == 0 else 0.45) * measure.energy
            notes.append(Note(start, 0.2 * measure.bar.beat_s, pitch, loud))
    return notes


def counter(measures: Sequence[Measure], centre: int) -> list[Note]:
    """A slow second voice on thirds and fifths, when there is room for it."""
    notes: list[Note] = []
    last: float = centre
    for measure in measures:
        if measure.energy < 0.5:
            continue
        chord, bar = measure.chord, measure.bar
        steps = (
            [(0.0, chord.tones[1]), (bar.beats / 2, chord.root)] if measure.energy > 0.75 else [(0.0, chord.tones[1])]
        )
        for beat, tone in steps:
            pitch = nearest_pitch(0.7 * last + 0.3 * centre, (tone, chord.fifth))
            length = bar.beats / len(steps) * bar.beat_s
            notes.append(Note(bar.at(beat), 0.97 * length, pitch, 0.35 + 0.4 * measure.energy))
            last = pitch
    return notes


def bass(measures: Sequence[Measure], key: Key, style: Style, centre: int, low: Sequence[int]) -> list[Note]:
    """The ground: `low` and the chord's next tones above it in the style's rhythm, with a step towards what follows where it asks for one."""
    notes: list[Note] = []
    for measure, lowest, goal in zip(measures, low, low[1:], strict=False):
        if (measure.energy < 0.28 and measure.opening) or measure.holds:
            continue
        below = goal - 1 if (goal - 1) % 12 in key.degrees else goal - 2
        above = goal + 1 if (goal + 1) % 12 in key.degrees else goal + 2
        _, middle, upper = sorted((tone - lowest) % 12 for tone in measure.chord.tones[:3])
        pitches = {
            "1": lowest,
            "3": lowest + middle,
            "5": lowest + upper - (12 if lowest + upper > centre + 10 else 0),
            "8": lowest + 12,
            "a": below if lowest <= goal else above,
        }
        for step, length, velocity, what in in_bar(BASS_LINES[style.basses[measure.energy >= 0.55]], measure.bar):
            start = measure.bar.at(swung(step, style) / 4)
            held = 0.94 * length * measure.bar.beat_s / 4
            notes.append(Note(start, held, pitches[what], min(1.0, velocity * (0.7 + 0.3 * measure.energy))))
    return notes
