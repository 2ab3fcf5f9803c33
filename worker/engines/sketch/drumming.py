"""Drumming: the groove, fills that lead into what comes next, and the marks on the picture's cuts."""

from collections.abc import Sequence

import numpy as np

from worker.engines.sketch.kit import RISE_S
from worker.engines.sketch.measures import Measure, swung
from worker.engines.sketch.patterns import DRUMS, STROKES
from worker.engines.sketch.score import Hit
from worker.engines.sketch.styles import Style

_USUAL = ("snare", "tom", "floor tom")
_FILLS = {
    "epic": ("taiko", "floor tom", "taiko"), "hands": ("conga", "conga", "kick"), "bossa": ("rim", "conga", "conga"),
    "tribal": ("conga", "taiko", "conga"), "house": ("clap", "snare", "snare"), "swing": ("snare", "tom", "snare"),
    "boom": ("snare", "hat", "snare"), "onedrop": ("rim", "tom", "floor tom"),
}  # fmt: skip
"""What plays fills, from high to low; a build is rolled on the first."""


def drum(measures: Sequence[Measure], style: Style, rng: np.random.Generator) -> list[Hit]:
    light, full = DRUMS[style.drums or "hands"]
    hits: list[Hit] = []
    for number, measure in enumerate(measures):
        if measure.mark == "build":
            hits += [*_roll(measure, style), *_marks(measure, number)]
            continue
        if measure.energy < 0.34 and not measure.on_cut:
            continue
        grid = full if measure.energy >= 0.52 else light
        steps = 4 * measure.bar.beats
        fill_from = steps  # nothing leads into the middle of a section
        if measure.left == 0 and measure.energy >= 0.5 and number:
            fill_from -= 8 if measure.energy > 0.85 and steps >= 16 else 4
        for sound, line in grid.items():
            for step in range(min(steps, fill_from) if sound in {"snare", "clap", "gated", "tom"} else steps):
                mark = line[step % 16 if step < 16 else step - 4]
                if mark == "." or (mark == "g" and rng.random() < 0.25):
                    continue
                loud = STROKES[mark] * (0.62 + 0.38 * measure.energy) * (1 + 0.08 * rng.standard_normal())
                hits.append(Hit(measure.bar.at(swung(step, style) / 4), sound, min(1.0, max(0.1, loud))))
        hits += _fill(measure, style, fill_from, steps)
        hits += _marks(measure, number)
    return hits


def _roll(measure: Measure, style: Style) -> list[Hit]:
    """Quarters, eighths, sixteenths: a build's bars grow denser and louder up to the drop."""
    voice, steps = _FILLS.get(style.drums, _USUAL)[0], 4 * measure.bar.beats
    bars = measure.place + measure.left + 1
    hits: list[Hit] = []
    for step in range(steps - 2 * (measure.left == 0)):  # before the drop even the roll holds its breath
        done = (measure.place + step / steps) / bars
        if step % (4 if done < 0.25 else 2 if done < 0.6 else 1) == 0:
            hits.append(Hit(measure.bar.at(step / 4), voice, 0.3 + 0.55 * done))
    return hits


def _fill(measure: Measure, style: Style, first: int, steps: int) -> list[Hit]:
    voices = _FILLS.get(style.drums, _USUAL)
    span = steps - first
    return [
        Hit(
            measure.bar.at(swung(step, style) / 4),
            voices[min(2, 3 * (step - first) // span)],
            0.45 + 0.45 * (step - first + 1) / span,
        )
        for step in range(first, steps)
        if span == 4 or step % 2 == 0 or step >= steps - 4
    ]


def _marks(measure: Measure, number: int) -> list[Hit]:
    """A cymbal where a section begins, and a rise that announces a cut."""
    if measure.place or number == 0:
        return []
    start = measure.bar.start_s
    loud = 0.95 if measure.on_cut else 0.55 + 0.45 * measure.energy
    marks = [Hit(start, "crash", loud)] if measure.energy > 0.42 or measure.on_cut else []
    if measure.on_cut:
        marks.append(Hit(start, "kick", 1.0))
        if start > RISE_S + 0.3:
            marks.append(Hit(start - RISE_S, "rise", 0.5 + 0.4 * measure.energy))
    return marks
