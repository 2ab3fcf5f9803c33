"""Bars between two moments, at a tempo that bends by at most four percent of what was asked for."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

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
    breath_s: float = 0.0
    """Less than a beat in which nothing is struck, before a moment that no beat reaches."""

    def at(self, beat: float) -> float:
        return self.start_s + beat * self.beat_s

    @property
    def end_s(self) -> float:
        return self.at(self.beats) + self.breath_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Metre:
    """The tempo that was asked for, the one that suits the film, and how many beats a bar has."""

    asked_bpm: float
    bpm: float
    beats: int

    @property
    def bar_s(self) -> float:
        return self.beats * 60 / self.bpm

    @property
    def slowest_s(self) -> float:
        """The longest beat."""
        return 60 / (self.asked_bpm * (1 - BEND))

    def near(self, start_s: float, end_s: float) -> list[Bar]:
        """Bars that end on a cut as one feels it, or none: whole bars first, then a half bar, then an odd one before it."""
        length_s = end_s - start_s
        beats = length_s * self.bpm / 60
        if length_s < 1.2:
            return []
        for unit in (self.beats, 2, 1):
            count = max(self.beats, round(beats / unit) * unit)
            beat_s = self._bent(count * 60 / length_s)
            if abs(count * beat_s - length_s) <= TOLERANCE_S:
                return self.bars(start_s, count, beat_s)
        return []

    def exactly(self, start_s: float, end_s: float) -> list[Bar]:
        """Bars that end on the moment itself, or none; from one beat on."""
        length_s = end_s - start_s
        beats = length_s * self.asked_bpm / 60
        for unit in (self.beats, 2, 1):
            count = round(beats / unit) * unit
            if count > 0 and abs(count / length_s * 60 / self.asked_bpm - 1) <= BEND + ROUNDING_S:
                return self.bars(start_s, count, length_s / count)
        return []

    def onto(self, start_s: float, end_s: float) -> list[Bar]:
        """Bars that end on the moment itself, the last one with a breath where the tempo does not reach; none for less than a beat."""
        if bars := self.exactly(start_s, end_s):
            return bars
        count = math.floor((end_s - start_s) / self.slowest_s + ROUNDING_S)
        bars = self.bars(start_s, count, self.slowest_s)
        return [*bars[:-1], replace(bars[-1], breath_s=end_s - bars[-1].end_s)] if bars else []

    def towards(self, start_s: float, end_s: float) -> list[Bar]:
        """Bars that end as near to the moment as the tempo reaches; none for less than half a beat."""
        if bars := self.exactly(start_s, end_s):
            return bars
        count = round((end_s - start_s) * self.bpm / 60)
        return self.bars(start_s, count, self._bent(count * 60 / (end_s - start_s))) if count > 0 else []

    def whole(self, start_s: float, end_s: float) -> list[Bar]:
        """Bars that fill the time, whatever it costs in tempo."""
        count = max(1, round((end_s - start_s) * self.bpm / 60))
        return self.exactly(start_s, end_s) or self.bars(start_s, count, (end_s - start_s) / count)

    def through(self, start_s: float, moment_s: float) -> list[Bar]:
        """Whole bars up to the end of the one in which a beat is on the moment, or none."""
        length_s = moment_s - start_s
        count = round(length_s * self.bpm / 60)
        if count < 1 or abs(count / length_s * 60 / self.asked_bpm - 1) > BEND + ROUNDING_S:
            return []
        return self.bars(start_s, math.ceil(count / self.beats) * self.beats, length_s / count)

    def closing(self, start_s: float, duration_s: float) -> list[Bar]:
        """Bars up to the last chord, which is left enough time to ring."""
        beat_s = 60 / self.bpm
        tail_s = min(max(1.4, 0.07 * duration_s), 3.2, 0.45 * duration_s)
        room = max(0.0, duration_s - tail_s - start_s) / beat_s
        beats = math.floor(room + 1e-6)
        if beats > self.beats:
            beats -= (beats % self.beats) % 2  # a half bar before the end is well known, one beat is not
        return self.bars(start_s, beats, beat_s)

    def bars(self, start_s: float, beats: int, beat_s: float) -> list[Bar]:
        full, rest = divmod(beats, self.beats)
        sizes = [self.beats] * full
        if rest == 1 and full:
            sizes[-1] += 1  # a bar of one beat stumbles; a longer one breathes
        elif rest:
            sizes.append(rest)
        firsts = itertools.accumulate(sizes, initial=0)
        return [
            Bar(start_s=start_s + first * beat_s, beats=size, beat_s=beat_s)
            for first, size in zip(firsts, sizes, strict=False)
        ]

    def _bent(self, bpm: float) -> float:
        """The beat in seconds, within what the tempo may bend."""
        return 60 / min(self.asked_bpm * (1 + BEND), max(self.asked_bpm * (1 - BEND), bpm))


def metre(asked_bpm: float, beats: int, cuts_s: Sequence[float], hits_s: Sequence[float]) -> Metre:
    """With the tempo near `asked_bpm` whose bar lines, then half bars and beats, meet the most cuts; a hit counts as three."""
    if not cuts_s and not hits_s:
        return Metre(asked_bpm=asked_bpm, bpm=asked_bpm, beats=beats)
    bends = np.linspace(-0.75 * BEND, 0.75 * BEND, 61)
    beat_s = 60 / (asked_bpm * (1 + bends))[:, None]  # (tempos, 1)
    times = np.array([*cuts_s, *hits_s])[None, :]  # (1, times)
    weights = np.repeat((1.0, 3.0), (len(cuts_s), len(hits_s)))
    score = -0.3 * np.abs(bends) / BEND
    for unit, worth in ((beats, 1.0), (beats / 2, 0.4), (1, 0.2)):
        off = times / (unit * beat_s)
        off = np.abs(off - np.round(off)) * unit * beat_s
        score = score + worth * np.average(np.exp(-((off / 0.09) ** 2)), axis=1, weights=weights)
    return Metre(asked_bpm=asked_bpm, bpm=float(asked_bpm * (1 + bends[int(np.argmax(score))])), beats=beats)
