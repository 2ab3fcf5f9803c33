"""Where somebody speaks, from how likely it is moment by moment. Numbers in, spans out."""

from __future__ import annotations

from worker.domain import Span

MOMENT_S = 0.032
"""How long each likelihood holds: 512 samples at 16 kHz."""
SURE, DOUBTFUL = 0.8, 0.35
"""A stretch goes on while the likelihood is over the second, and is speech if it is over the first for long enough. With 0.5 funk
counts as speech."""
SHORTEST_S = 0.25
BRIDGED_S = 1.0
"""A shorter silence is a breath: music that came up in it would only flutter."""


class Spans:
    """Takes likelihoods one after the other; what it has found so far can be asked at any time."""

    def __init__(self) -> None:
        self._found: list[Span] = []
        self._moments = self._sure = 0
        self._began: int | None = None

    @property
    def heard_s(self) -> float:
        return self._moments * MOMENT_S

    def hear(self, likelihood: float) -> None:
        """Take the next moment's."""
        if likelihood >= DOUBTFUL:
            if self._began is None:
                self._began, self._sure = self._moments, 0
            self._sure += likelihood >= SURE
        else:
            self._close()
        self._moments += 1

    def found(self, end_s: float) -> tuple[Span, ...]:
        """The spans up to now, in order and a second or more apart, none behind `end_s`."""
        current = self._current()
        spans = _bridged([*self._found, *([current] if current else [])])
        return tuple(Span(start_s=s.start_s, end_s=min(s.end_s, end_s)) for s in spans if s.start_s < end_s)

    def _close(self) -> None:
        if current := self._current():
            self._found = _bridged([*self._found, current])
        self._began = None

    def _current(self) -> Span | None:
        """The stretch that goes on, if it is speech. A moment's likelihood tells of the one before it, too: a word begins softly."""
        if self._began is None or self._sure * MOMENT_S < SHORTEST_S:
            return None
        return Span(start_s=max(0, self._began - 1) * MOMENT_S, end_s=self._moments * MOMENT_S)


def _bridged(spans: list[Span]) -> list[Span]:
    """The same with the last one joined to that before it, where nothing but a breath is between them."""
    if len(spans) < 2 or spans[-1].start_s - spans[-2].end_s >= BRIDGED_S:
        return spans
    return [*spans[:-2], Span(start_s=spans[-2].start_s, end_s=spans[-1].end_s)]
