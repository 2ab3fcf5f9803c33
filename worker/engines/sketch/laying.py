"""Laying bars from moment to moment: hits have one of theirs before segments, and segments before cuts."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from worker.domain import Hit, Segment
from worker.engines.sketch.bars import Bar, Metre

LONGEST_END_S = 3.2
"""A hit so near to the end is the last chord, if it leaves that time to ring."""
_SILENT_S, _LONG_S = 0.5, 2.6
"""The shortest silence after a stop, and the bar of which half is silence enough."""
SAME_S = 0.3
"""A cut so near to a hit is met by it: a stroke of its own would drown the hit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is asked of the form, beside what the film shows."""

    hits: tuple[Hit, ...] = ()
    segments: tuple[Segment, ...] = ()
    loops: bool = False


@dataclass(slots=True)
class Run:
    """Bars from one border to the next. `mark` is what begins it: nothing, a cut, a segment, or the kind of a hit."""

    mark: str
    bars: list[Bar] = field(default_factory=list)


def lay(
    duration_s: float, cuts_s: Sequence[float], metre: Metre, wishes: Wishes
) -> tuple[list[Run], list[float], float]:
    """Runs up to the last chord, the cuts that no bar line reaches, and when that chord is struck (a loop: never, at the end).

    Hits are in order and within the film.
    """
    hits = wishes.hits
    land_s = None if wishes.loops else landing(hits, duration_s)
    until_s = duration_s if wishes.loops else land_s or duration_s - ringing(duration_s)[0]
    goals = _goals(hits, wishes.segments, cuts_s, until_s, 60 / metre.bpm)
    free = [cut for cut in cuts_s if all(abs(cut - hit.at_s) > SAME_S for hit in hits)]
    path = _Path(metre, [Run("")], 0.0, [])
    for number, (at_s, mark) in enumerate(goals):
        between = [cut for cut in free if path.end_s < cut < at_s]
        path.pass_by(between, _accents(hits, path.end_s, at_s), at_s, mark)
        path.reach(at_s, mark)
        if mark == "stop":
            after = goals[number + 1][0] if number + 1 < len(goals) else until_s
            path.fall_silent(at_s, after, free)
    end_s = duration_s if wishes.loops else land_s
    left = [cut for cut in free if cut > path.end_s and (end_s is None or cut < end_s)]
    path.pass_by(left, _accents(hits, path.end_s, until_s), end_s, "end" if wishes.loops else "")
    if wishes.loops:
        path.close(duration_s)
    else:
        path.append(metre.onto(path.end_s, land_s) if land_s else metre.closing(path.end_s, duration_s))
    return path.runs, path.missed, path.end_s


def ringing(duration_s: float) -> tuple[float, float]:
    """How long a last chord may ring at least and at most, where a hit says when it is struck."""
    return min(0.7, 0.2 * duration_s), min(LONGEST_END_S, 0.45 * duration_s)


def landing(hits: Sequence[Hit], duration_s: float) -> float | None:
    """The hit on which the last chord is struck."""
    shortest, longest = ringing(duration_s)
    return max((hit.at_s for hit in hits if shortest <= duration_s - hit.at_s <= longest), default=None)


def _goals(
    hits: Sequence[Hit], segments: Sequence[Segment], cuts_s: Sequence[float], until_s: float, beat_s: float
) -> list[tuple[float, str]]:
    """What is to have a bar line, in order: hits that are no mere strokes or have a cut beside them, and segments that no hit begins."""
    goals: list[tuple[float, str]] = []
    for hit in hits:
        mere = hit.kind == "accent" and all(abs(hit.at_s - cut) > SAME_S for cut in cuts_s)
        if not mere and hit.at_s < until_s - 0.5 * beat_s:
            goals.append((hit.at_s, "downbeat" if hit.kind == "accent" else hit.kind))
    taken = [at_s for at_s, _ in goals]
    goals += [
        (segment.start_s, "segment")
        for segment in segments
        if 0 < segment.start_s < until_s - beat_s and all(abs(segment.start_s - at_s) > beat_s for at_s in taken)
    ]
    return sorted(goals)


def _accents(hits: Sequence[Hit], from_s: float, until_s: float) -> list[float]:
    return [hit.at_s for hit in hits if hit.kind == "accent" and from_s < hit.at_s < until_s]


@dataclass(slots=True)
class _Path:
    metre: Metre
    runs: list[Run]
    end_s: float
    missed: list[float]

    def append(self, bars: list[Bar]) -> None:
        if bars:
            self.runs[-1].bars += bars
            self.end_s = bars[-1].end_s

    def pass_by(self, cuts_s: Sequence[float], accents_s: Sequence[float], goal_s: float | None, mark: str) -> None:
        """Lay bars to the cuts, and beats to the accents, from which the goal is still reached as well as without them."""
        for at_s, is_cut in sorted([*((cut, True) for cut in cuts_s), *((accent, False) for accent in accents_s)]):
            if is_cut:
                bars = self.metre.near(self.end_s, at_s)
            else:
                bars = self.metre.through(self.end_s, at_s) if at_s > self.end_s else []
                following = [cut for cut in cuts_s if cut > at_s]
                if bars and following and bars[-1].end_s > following[0] - 1.2:
                    bars = []
            if bars and self._leaves(bars[-1].end_s, goal_s, mark):
                self.append(bars)
                if is_cut:
                    self.runs.append(Run("cut"))
            elif is_cut:
                self.missed.append(at_s)

    def _leaves(self, from_s: float, goal_s: float | None, mark: str) -> bool:
        if goal_s is None:
            return True
        if mark == "end":
            return bool(self.metre.exactly(from_s, goal_s))
        room_s = (self.metre.beats if mark == "drop" else 1) * self.metre.slowest_s
        if goal_s - from_s < room_s:
            return False
        return bool(self.metre.exactly(from_s, goal_s) or not self.metre.exactly(self.end_s, goal_s))

    def reach(self, at_s: float, mark: str) -> None:
        """Lay bars to a goal; a hit less than a beat after the last border has none of its own."""
        bars = self.metre.towards(self.end_s, at_s) if mark == "segment" else self.metre.onto(self.end_s, at_s)
        first = len(self.runs) == 1 and not self.runs[0].bars
        if bars:
            self.append(bars)
            self.runs.append(Run(mark))
        elif first and mark != "segment":
            self.runs, self.end_s = [Run(mark)], at_s

    def close(self, at_s: float) -> None:
        """Fill the time up to where a loop begins again."""
        whole = self.metre.whole(0.0, at_s) if self.end_s == 0 else self.metre.onto(self.end_s, at_s)
        self.append(whole)
        if last := next((run.bars for run in reversed(self.runs) if run.bars), None):
            last[-1] = replace(last[-1], breath_s=last[-1].breath_s + at_s - self.end_s)
        self.end_s = at_s

    def fall_silent(self, at_s: float, after_s: float, cuts_s: Sequence[float]) -> None:
        """Rest after a stop: up to what comes next, if that is soon, else for a bar, of slow music for half of it."""
        if abs(self.end_s - at_s) > 1e-6:
            return  # it had no bar line
        rest_s = self.metre.bar_s if self.metre.bar_s <= _LONG_S else self.metre.bar_s / 2
        horizon_s = at_s + max(1.5 * rest_s, _SILENT_S)
        if after_s <= horizon_s:
            return  # the way to it is silent
        for cut in cuts_s:
            if at_s + _SILENT_S <= cut <= horizon_s and (bars := self.metre.onto(at_s, cut)):
                self.append(bars)
                self.runs.append(Run("cut"))
                return
        self.append(self.metre.bars(at_s, round(rest_s * self.metre.bpm / 60), 60 / self.metre.bpm))
        self.runs.append(Run("again"))
