"""Melody: two short motifs, answered, varied and brought home, four bars at a time."""

import numpy as np

from worker.engines.sketch.measures import Measure, in_bar, swung
from worker.engines.sketch.patterns import MOTIFS
from worker.engines.sketch.score import Note
from worker.engines.sketch.styles import Style
from worker.pipeline.direct.keys import MODES, Key

PHRASES = ("AABC", "ABAC", "AABA", "ABBC")


def sing(measures: list[Measure], key: Key, style: Style, centre: int, rng: np.random.Generator) -> list[Note]:
    """The tune over all measures that are lively enough to carry one."""
    rhythms = MOTIFS[style.motif]
    drawn = [rhythms[number] for number in rng.permutation(len(rhythms))]
    motifs = {letter: (rhythm, _contour(len(rhythm), rng)) for letter, rhythm in zip("ABC", drawn, strict=True)}
    form = PHRASES[int(rng.integers(len(PHRASES)))]
    home = _degree_of(centre, key)
    notes: list[Note] = []
    last = home
    for measure in measures:
        rests = (
            measure.section % 4 == 3 and measures[-1].section > 5 and measure.mark not in {"drop", "told"}
        )  # a long tune is missed
        if measure.energy < 0.36 or rests or measure.holds or (measure.opening and measure.place < 2):
            continue
        bar_in_phrase = measure.place % 4
        rhythm, contour = motifs[form[bar_in_phrase]]
        lift = (0, 1, 2, 0)[bar_in_phrase] + (2 if measure.energy > 0.85 else 0)
        ends = bar_in_phrase == 3 or measure.left == 0
        figure = in_bar(rhythm, measure.bar)
        for number, (step, length, velocity, weight) in enumerate(figure):
            degree = home + lift + contour[number % len(contour)]
            degree += 7 * round((last - degree) / 14)
            if weight == "s" or (ends and number == len(figure) - 1):
                degree = _to_chord(degree, measure, key)
            elif abs(degree - last) > 3:  # weak notes go by step
                degree = last + (1 if degree > last else -1)
            pitch = _pitch(degree, key, measure)
            if abs(degree - last) > 5:
                pitch += 12 if degree < last else -12
                degree += 7 if degree < last else -7
            closing = ends and step >= 8
            start = measure.bar.at(swung(step, style) / 4)
            held = (4 * measure.bar.beats - step if closing else length) * measure.bar.beat_s / 4
            notes.append(Note(start, 0.94 * held, pitch, min(1.0, velocity * (0.62 + 0.4 * measure.energy))))
            last = degree
            if closing:
                break
    return notes


def _contour(notes: int, rng: np.random.Generator) -> list[int]:
    """Scale steps from the phrase's starting tone, one for each note: mostly steps, one leap, and a turn back after it."""
    steps = rng.choice([-2, -1, -1, 1, 1, 2], size=notes)
    leap = int(rng.integers(1, max(2, notes)))
    contour = [0]
    for number in range(1, notes):
        move = int(steps[number])
        if number == leap:
            move = int(rng.choice([3, 4, -3]))
        elif number == leap + 1:
            move = -abs(move) if contour[-1] > contour[-2] else abs(move)
        contour.append(max(-4, min(5, contour[-1] + move)))
    return contour


def _degree_of(pitch: int, key: Key) -> int:
    """The scale step nearest to a MIDI pitch, counted from the tonic of octave 0."""
    octave, rest = divmod(pitch - key.tonic, 12)
    scale = MODES[key.mode]
    return 7 * octave + min(range(7), key=lambda step: abs(scale[step] - rest))


def _pitch(degree: int, key: Key, measure: Measure) -> int:
    octave, step = divmod(degree, 7)
    pitch = 12 * octave + key.tonic + MODES[key.mode][step]
    raised = measure.chord.tones[1]
    if (pitch + 1) % 12 == raised and raised not in key.degrees:  # the leading tone of a minor key's dominant
        pitch += 1
    return pitch


def _to_chord(degree: int, measure: Measure, key: Key) -> int:
    near = sorted(range(degree - 3, degree + 4), key=lambda candidate: abs(candidate - degree))
    return next((step for step in near if _pitch(step, key, measure) % 12 in measure.chord.triad), degree)
