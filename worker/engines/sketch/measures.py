"""Measures: each bar of the timeline with its chord, its energy and its place in the phrase."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worker.engines.sketch.bars import Bar
from worker.engines.sketch.harmony import Chord, chord
from worker.engines.sketch.patterns import Figure
from worker.engines.sketch.styles import Style
from worker.engines.sketch.timeline import Timeline
from worker.pipeline.direct.keys import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    bar: Bar
    chord: Chord
    energy: float
    section: int
    place: int
    """0 for the first bar of its section."""
    left: int
    """How many bars of the section come after it."""
    opening: bool
    """In the first section of a piece that has several."""
    on_cut: bool
    """The picture changes on its first beat, or something was asked for."""
    mark: str
    """Its section's."""

    @property
    def holds(self) -> bool:
        """The last bar before a drop: what carries the music waits."""
        return self.mark == "build" and self.left == 0


def harmonise(
    timeline: Timeline, key: Key, style: Style, rng: np.random.Generator, dark: Sequence[bool | None] = ()
) -> list[Measure]:
    """Choose two progressions, one for the theme and one for contrast, and end on a cadence.

    Sections that are to be `dark`, or not, where the key is not, or is, go to the relative key, which has the same notes.
    """
    pool = style.dark if key.is_dark else style.bright
    order = rng.permutation(len(pool))
    theme, contrast = (pool[order[index]].split() for index in (0, 1))
    symbols: list[str] = []
    for index, section in enumerate(timeline.sections):
        run = contrast if index % 4 == 2 and len(timeline.sections) > 3 else theme
        if index < len(dark) and dark[index] not in {None, key.is_dark}:
            run = [_relative(symbol, key) for symbol in (style.dark if dark[index] else style.bright)[0].split()]
        symbols += [run[(bar // style.bars_per_chord) % len(run)] for bar in range(section.bars)]
    if len(symbols) > 2:
        symbols[0] = theme[0] if theme[0] in {"1", "6", "4"} else "1"
        symbols[-1] = "4" if style.motif == "sparse" else "5!" if key.is_dark else "5"
    if style.tonicises:
        first = timeline.sections[0].bars if timeline.sections else 0  # at home, before anybody leaves it
        led = [tonicising(*pair, key) for pair in itertools.pairwise(symbols)]
        symbols = [*symbols[:first], *led[first:], *symbols[max(first, len(symbols) - 1) :]]
    chords = [chord(key, symbol, style.chord_size) for symbol in symbols]
    places = (
        (index, section, place) for index, section in enumerate(timeline.sections) for place in range(section.bars)
    )
    return [
        Measure(
            bar=bar,
            chord=now,
            energy=section.energy_at(place),
            section=index,
            place=place,
            left=section.bars - place - 1,
            opening=index == 0
            and len(timeline.sections) > 2
            and section.mark not in {"drop", "told"}
            and not timeline.loops,
            on_cut=section.on_cut and place == 0,
            mark=section.mark,
        )
        for bar, (index, section, place), now in zip(timeline.bars, places, chords, strict=True)
    ]


def _relative(symbol: str, key: Key) -> str:
    """The symbol of a chord of the relative key in this one: its first degree is the third of a dark key, the sixth of a bright one."""
    step = 2 if key.is_dark else 5
    return "".join(str((int(sign) - 1 + step) % 7 + 1) if sign.isdigit() else sign for sign in symbol)


def tonicising(symbol: str, following: str, key: Key) -> str:
    """The symbol, as the dominant of the one that follows where it lies a fifth above it: of 2 and 6 in major, of 7 in minor.

    That of 5 is left out: with it half a minute is in the key of the fifth, to most ears.
    """
    known = {"4": "7"} if key.is_dark else {"6": "2", "3": "6"}
    return f"{symbol}!" if known.get(symbol) == following else symbol


def swung(step: float, style: Style) -> float:
    """Where a sixteenth really falls: every second eighth (or sixteenth) comes late."""
    unit = 1.0 if style.swing_sixteenths else 2.0
    pair, rest = divmod(step, 2 * unit)
    middle = unit * (1 + style.swing)
    warped = rest / unit * middle if rest < unit else middle + (rest - unit) / unit * (2 * unit - middle)
    return pair * 2 * unit + warped


def in_bar(figure: Figure, bar: Bar) -> Figure:
    """The figure cut to a shorter bar, or with its last beat repeated in a longer one."""
    steps = 4 * bar.beats
    kept = tuple(item for item in figure if item[0] < steps)
    extra = tuple(
        (step + 4, length, velocity, what) for step, length, velocity, what in figure if step >= 12 and step + 4 < steps
    )
    return tuple((step, min(length, steps - step), velocity, what) for step, length, velocity, what in kept + extra)
