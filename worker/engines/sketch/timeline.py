"""Bars and sections: where the music meets the picture.

Cuts become section borders when the tempo needs to bend by at most four percent of what was asked for to put a bar line on them.
A cut that is out of reach gets an accent on the nearest half beat instead.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worker.domain import Scene

BEND = 0.04
"""How far the tempo may leave what was asked for."""
TOLERANCE_S = 0.08
"""A change of picture and a beat this close are felt as one."""
ROUNDING_S = 1e-6
"""A bar's start and the end of the one before are sums of their own: which of the two is later is chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    start_s: float
    beats: int
    beat_s: float

    def at(self, beat: float) -> float:
        return self.start_s + beat * self.beat_s

    @property
    def end_s(self) -> float:
        return self.at(self.beats)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A run of bars with one mood; `energy` 0..1 decides who plays."""

    start_s: float
    bars: int
    energy: float
    on_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    bpm: float
    bars: tuple[Bar, ...]
    sections: tuple[Section, ...]
    final_s: float
    """When the last chord is struck; it rings until the end."""
    accents_s: tuple[float, ...]
    """Cuts inside a section, moved to the nearest half beat."""


def lay_out(duration_s: float, scenes: Sequence[Scene], asked_bpm: float, beats_per_bar: int, drive: float) -> Timeline:
    """Bars for a clip. `drive` 0..1 is the energy the direction asks for."""
    cuts = [scene.start_s for scene in scenes[1:] if 0.4 < scene.start_s < duration_s - 0.8]
    bpm = _base_tempo(cuts, asked_bpm, beats_per_bar)
    runs: list[list[Bar]] = []  # each up to a cut, the last one to the end
    start_s = 0.0
    missed: list[float] = []
    for cut in cuts:
        if run := _bars_between(start_s, cut, bpm, asked_bpm, beats_per_bar):
            runs.append(run)
            start_s = run[-1].end_s
        else:
            missed.append(cut)
    runs.append(_closing_bars(start_s, duration_s, bpm, beats_per_bar))
    bars = tuple(bar for run in runs for bar in run)
    final_s = bars[-1].end_s if bars else 0.0
    snapped = sorted({_snap(cut, bars) for cut in missed if cut < final_s})
    return Timeline(
        bpm=bpm,
        bars=bars,
        sections=_sections(runs, duration_s, scenes, drive),
        final_s=final_s,
        accents_s=tuple(time_s for time_s in snapped if time_s < final_s - 0.05),
    )


def _base_tempo(cuts: Sequence[float], asked_bpm: float, beats_per_bar: int) -> float:
    """The tempo near `asked_bpm` whose bar lines, then half bars and beats, meet the most cuts."""
    if not cuts:
        return asked_bpm
    bends = np.linspace(-0.75 * BEND, 0.75 * BEND, 61)
    beat_s = 60 / (asked_bpm * (1 + bends))[:, None]  # (tempos, 1)
    times = np.asarray(cuts)[None, :]  # (1, cuts)
    score = -0.3 * np.abs(bends) / BEND
    for beats, worth in ((beats_per_bar, 1.0), (beats_per_bar / 2, 0.4), (1, 0.2)):
        off = times / (beats * beat_s)
        off = np.abs(off - np.round(off)) * beats * beat_s
        score = score + worth * np.exp(-((off / 0.09) ** 2)).mean(axis=1)
    return float(asked_bpm * (1 + bends[int(np.argmax(score))]))


def _bars_between(start_s: float, end_s: float, bpm: float, asked_bpm: float, beats_per_bar: int) -> list[Bar]:
    """Bars that end on the cut, or none: whole bars first, then a half bar, then an odd one before it."""
    length_s = end_s - start_s
    beats = length_s * bpm / 60
    if length_s < 1.2:
        return []
    for unit in (beats_per_bar, 2, 1):
        count = max(beats_per_bar, round(beats / unit) * unit)
        beat_s = 60 / min(asked_bpm * (1 + BEND), max(asked_bpm * (1 - BEND), count * 60 / length_s))
        if abs(count * beat_s - length_s) <= TOLERANCE_S:
            return _bars(start_s, count, beat_s, beats_per_bar)
    return []


def _closing_bars(start_s: float, duration_s: float, bpm: float, beats_per_bar: int) -> list[Bar]:
    """Bars up to the last chord, which is left enough time to ring."""
    beat_s = 60 / bpm
    tail_s = min(max(1.4, 0.07 * duration_s), 3.2, 0.45 * duration_s)
    room = max(0.0, duration_s - tail_s - start_s) / beat_s
    beats = math.floor(room + 1e-6)
    if beats > beats_per_bar:
        beats -= (beats % beats_per_bar) % 2  # a half bar before the end is well known, one beat is not
    return _bars(start_s, beats, beat_s, beats_per_bar)


def _bars(start_s: float, beats: int, beat_s: float, beats_per_bar: int) -> list[Bar]:
    full, rest = divmod(beats, beats_per_bar)
    sizes = [beats_per_bar] * full
    if rest == 1 and full:
        sizes[-1] += 1  # a bar of one beat stumbles; a longer one breathes
    elif rest:
        sizes.append(rest)
    firsts = itertools.accumulate(sizes, initial=0)
    return [
        Bar(start_s=start_s + first * beat_s, beats=size, beat_s=beat_s)
        for first, size in zip(firsts, sizes, strict=False)
    ]


def _sections(runs: list[list[Bar]], duration_s: float, scenes: Sequence[Scene], drive: float) -> tuple[Section, ...]:
    """Split what is between two cuts into phrases of four or eight bars and give each its energy."""
    most = 4 if sum(map(len, runs)) < 24 else 8
    phrases: list[list[Bar]] = []
    on_cut: list[bool] = []
    for number, run in enumerate(runs):
        for place, bar in enumerate(run):
            if place == 0 or (len(phrases[-1]) >= most and len(run) - place >= 2):
                phrases.append([])
                on_cut.append(place == 0 and number > 0)
            phrases[-1].append(bar)
    return tuple(
        Section(
            start_s=phrase[0].start_s,
            bars=len(phrase),
            energy=_energy(index, phrase, duration_s, scenes, drive),
            on_cut=on_cut[index],
        )
        for index, phrase in enumerate(phrases)
    )


def _energy(index: int, group: Sequence[Bar], duration_s: float, scenes: Sequence[Scene], drive: float) -> float:
    """A form that grows to its climax at three quarters, bent by what the picture does, alternating for contrast."""
    middle = (group[0].start_s + group[-1].end_s) / 2
    place = middle / duration_s
    arc = float(np.interp(place, [0.0, 0.12, 0.45, 0.55, 0.8, 1.0], [0.42, 0.65, 0.8, 0.6, 1.0, 0.72]))
    if duration_s < 12:  # no time for an introduction
        arc = 0.5 + 0.5 * arc
    levels = [0.7 * scene.motion + 0.3 * scene.brightness for scene in scenes] or [0.5]
    here = next((level for scene, level in zip(scenes, levels, strict=False) if middle < scene.end_s), levels[-1])
    spread = max(levels) - min(levels)
    picture = (here - min(levels)) / spread if spread > 0.05 else 0.5
    level = 0.5 * arc + 0.25 * picture + 0.25 * drive + (0.06 if index % 2 else -0.04)
    if index % 5 == 4 and place < 0.8:  # a long piece breathes before its climax
        level -= 0.38
    return min(1.0, max(0.08, level))


def _snap(time_s: float, bars: Sequence[Bar]) -> float:
    bar = [bar for bar in bars if bar.start_s <= time_s + ROUNDING_S][-1]
    return bar.at(round((time_s - bar.start_s) / bar.beat_s * 2) / 2)
