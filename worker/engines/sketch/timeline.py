"""Sections: where the music meets the picture, and how lively it is there.

Cuts become section borders when the tempo needs to bend by at most four percent of what was asked for to put a bar line on them.
A cut that is out of reach gets an accent on the nearest half beat instead. Hits always have their moment.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from worker.domain import Hit, Scene, Segment, Span
from worker.engines.sketch.bars import ROUNDING_S, Bar, metre
from worker.engines.sketch.laying import SAME_S, Run, Wishes, lay

_FULL = 0.92
"""The least energy after a drop, and a build's at its end less a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A run of bars with one mood; `energy` 0..1 decides who plays."""

    start_s: float
    bars: int
    energy: float
    on_cut: bool
    """It begins with weight: the picture changes there, or something was asked for."""
    mark: str = ""
    """"drop", "build", which leads to one, "stop" (nobody plays), or "told": a segment's words are heard."""
    rise: float = 0.0
    """By how much less energy it begins than it ends with."""

    def energy_at(self, place: int) -> float:
        """Of one of its bars."""
        return self.energy - self.rise * (1 - (place + 0.5) / self.bars)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    bpm: float
    bars: tuple[Bar, ...]
    sections: tuple[Section, ...]
    final_s: float
    """When the last chord is struck; it rings until the end, which is where a loop has it: nowhere."""
    accents_s: tuple[float, ...]
    """Cuts inside a section, moved to the nearest half beat."""
    hits: tuple[Hit, ...] = ()
    rests: tuple[Span, ...] = ()
    """After a stop."""
    loops: bool = False

    @property
    def middles_s(self) -> list[float]:
        """Of the sections."""
        edges = [*(section.start_s for section in self.sections), self.final_s]
        return [(start_s + end_s) / 2 for start_s, end_s in itertools.pairwise(edges)]


def lay_out(
    duration_s: float, scenes: Sequence[Scene], asked_bpm: float, beats_per_bar: int, drive: float,
    wishes: Wishes | None = None,
) -> Timeline:  # fmt: skip
    """Bars for a clip. `drive` 0..1 is the energy the direction asks for."""
    wishes = wishes or Wishes()
    cuts = [scene.start_s for scene in scenes[1:] if 0.4 < scene.start_s < duration_s - 0.8]
    hits = tuple(sorted((hit for hit in wishes.hits if hit.at_s < duration_s), key=lambda hit: hit.at_s))
    time = metre(asked_bpm, beats_per_bar, cuts, [hit.at_s for hit in hits])
    runs, missed, final_s = lay(duration_s, cuts, time, replace(wishes, hits=hits))
    bars = tuple(bar for run in runs for bar in run.bars)
    rests = tuple(_rests(runs, hits, final_s))
    snapped = sorted({_snap(cut, bars) for cut in missed if bars and bars[0].start_s <= cut < final_s})
    return Timeline(
        bpm=60 * sum(bar.beats for bar in bars) / duration_s if wishes.loops else time.bpm,
        bars=bars,
        sections=_sections(runs, duration_s, scenes, drive, wishes),
        final_s=final_s,
        accents_s=tuple(
            time_s
            for time_s in snapped
            if time_s < final_s - 0.05
            and all(abs(time_s - hit.at_s) > SAME_S for hit in hits)
            and not any(rest.start_s <= time_s < rest.end_s for rest in rests)
        ),
        hits=hits,
        rests=rests,
        loops=wishes.loops,
    )


def _rests(runs: Sequence[Run], hits: Sequence[Hit], final_s: float) -> Iterable[Span]:
    """From each stop to the end of its run; one that has no run stops the band up to the next bar."""
    for hit in hits:
        if hit.kind != "stop" or hit.at_s >= final_s:
            continue
        run = next(
            (run for run in runs if run.bars and run.bars[0].start_s <= hit.at_s < run.bars[-1].end_s - ROUNDING_S),
            None,
        )
        if run:
            ends = [bar.end_s for bar in run.bars if bar.end_s > hit.at_s + 0.3] if run.mark != "stop" else []
            yield Span(start_s=hit.at_s, end_s=ends[0] if ends else run.bars[-1].end_s)


def _sections(
    runs: Sequence[Run], duration_s: float, scenes: Sequence[Scene], drive: float, wishes: Wishes
) -> tuple[Section, ...]:
    """Split what is between two borders into phrases of four or eight bars and give each its energy."""
    most = 4 if sum(len(run.bars) for run in runs) < 24 else 8
    phrases: list[tuple[str, bool, list[Bar]]] = []  # mark, whether it begins with weight, bars
    for number, run in enumerate(runs):
        building = _building(run) if number + 1 < len(runs) and runs[number + 1].mark == "drop" else 0
        for place, bar in enumerate(run.bars):
            left = len(run.bars) - place
            full = phrases and len(phrases[-1][2]) >= most and left >= 2 and run.mark != "stop"
            if place == 0 or (full and left >= building) or left == building:
                mark = "build" if left <= building else run.mark if run.mark in {"drop", "stop"} else ""
                phrases.append((mark, place == 0 and run.mark not in {"", "stop"}, []))
            phrases[-1][2].append(bar)
    sections: list[Section] = []
    for index, (mark, on_cut, phrase) in enumerate(phrases):
        middle_s = (phrase[0].start_s + phrase[-1].end_s) / 2
        segment = segment_at(wishes.segments, middle_s)
        asked, told = (segment.energy, "told" if segment.prompt else "") if segment else (None, "")
        energy = _energy(index, middle_s, duration_s, scenes, drive, level=wishes.loops)
        if mark == "build":
            energy = min(energy, _FULL - 0.2)
        elif mark == "drop":
            energy = max(energy, _FULL)
        energy = energy if asked is None else asked
        rise = min(0.4, energy - 0.15) if mark == "build" and asked is None else 0.0
        sections.append(
            Section(
                start_s=phrase[0].start_s, bars=len(phrase), energy=energy, on_cut=on_cut, mark=mark or told, rise=rise
            )
        )
    return tuple(sections)


def _building(run: Run) -> int:
    """How many bars before a drop lead to it: a whole one at least, where there is one."""
    if run.mark == "stop" or not run.bars:
        return 0
    count = len(run.bars)
    beats = run.bars[0].beats * (4 if count > 11 else 2 if count > 3 else 1)
    lengths = itertools.accumulate(bar.beats for bar in reversed(run.bars))
    return next((number for number, length in enumerate(lengths, 1) if length >= beats), count)


def segment_at(segments: Sequence[Segment], at_s: float) -> Segment | None:
    return next((segment for segment in reversed(segments) if segment.start_s <= at_s), None)


def _energy(
    index: int, middle_s: float, duration_s: float, scenes: Sequence[Scene], drive: float, *, level: bool
) -> float:
    """A form that grows to its climax at three quarters, or stays where it is, bent by what the picture does, alternating for contrast."""
    place = middle_s / duration_s
    arc = float(np.interp(place, [0.0, 0.12, 0.45, 0.55, 0.8, 1.0], [0.42, 0.65, 0.8, 0.6, 1.0, 0.72]))
    if duration_s < 12:  # no time for an introduction
        arc = 0.5 + 0.5 * arc
    if level:
        arc = 0.75
    levels = [scene.liveliness for scene in scenes] or [0.5]
    here = next((level for scene, level in zip(scenes, levels, strict=False) if middle_s < scene.end_s), levels[-1])
    spread = max(levels) - min(levels)
    picture = (here - min(levels)) / spread if spread > 0.05 else 0.5
    energy = 0.5 * arc + 0.25 * picture + 0.25 * drive + (0.06 if index % 2 else -0.04)
    if index % 5 == 4 and place < 0.8:  # a long piece breathes before its climax
        energy -= 0.38
    return min(1.0, max(0.08, energy))


def _snap(time_s: float, bars: Sequence[Bar]) -> float:
    bar = [bar for bar in bars if bar.start_s <= time_s + ROUNDING_S][-1]
    return bar.at(min(bar.beats, round((time_s - bar.start_s) / bar.beat_s * 2) / 2))
