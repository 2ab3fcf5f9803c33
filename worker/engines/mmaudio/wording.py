"""What the network is told of each stretch of a film: the direction's words, and beside them a segment's, an ending's or a loop's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from worker.domain import Options, Segment
from worker.engines.mmaudio.tokens import CONTEXT, Tokenize
from worker.engines.mmaudio.windows import Windows

ENDING, LOOPING = "ending, final chord", "seamless loop"
CALM, LIVELY = 1 / 3, 2 / 3
"""Energy up to the one and from the other on is told; what lies between says nothing of itself."""
FADE_S = 1.0
"""How long one segment gives way to the next."""


class Told(NamedTuple):
    """What is said where: windows, what stands beside the direction in each wording, and which wording each window hears."""

    windows: Windows
    beside: tuple[str, ...]
    heard: tuple[int, ...]

    def around(self, first: int, last: int) -> Told:
        """What is to go through the network for the latents from `first` to before `last`."""
        which = self.windows.reaching(first, last)
        return self._replace(windows=self.windows.take(which), heard=tuple(self.heard[k] for k in which))


def told(options: Options, windows: Windows, latents_per_s: float) -> Told:
    """By segments; in a film of several windows the last one hears an ending. A loop hears none, and no segment twice in a row."""
    borders: list[int] = []
    beside = [""]
    for segment in options.segments:
        at, words = round(segment.start_s * latents_per_s), ", ".join(_words(segment))
        if at == 0:
            beside = [words]
        elif at < windows.latents and words != beside[-1]:
            borders.append(at)
            beside.append(words)
    if options.loop:
        beside = [_joined(words, LOOPING) for words in beside]
    last = windows.starts[-1]
    windows = windows.split(borders, fade=round(FADE_S * latents_per_s))
    heard = windows.stretches or (0,) * len(windows)
    if last > 0 and not options.loop:
        ends = len(beside)
        heard = tuple(
            ends if start == last and own == ends - 1 else own for start, own in zip(windows.starts, heard, strict=True)
        )
        beside.append(_joined(beside[-1], ENDING))
    return Told(windows, tuple(beside), heard)


def caption(direction: str, beside: str, tokenize: Tokenize) -> str:
    """Both within what the text encoder sees: at least half of that is the direction's, as far as it goes, and its tags leave from the end."""
    if not beside:
        return direction

    def count(text: str) -> int:
        return int(tokenize([text]).count_nonzero()) - 2  # start and end

    # One less than it sees: the tokenizer cuts, so that what fills all places may have been longer.
    budget = CONTEXT - 3
    room = max(budget // 2, budget - 1 - count(direction))
    beside = _cut(" ".join(beside.split()[:budget]), lambda text: count(text) <= room)
    return _joined(_cut(direction, lambda text: count(_joined(text, beside)) <= budget), beside)


def _cut(text: str, fits: Callable[[str], bool]) -> str:
    """Whole tags leave from the end, then whole words."""
    for separator in (", ", " "):
        parts = text.split(separator)
        while len(parts) > 1 and not fits(separator.join(parts)):
            parts.pop()
        text = separator.join(parts)
    return text if fits(text) else ""


def _words(segment: Segment) -> Iterator[str]:
    if segment.prompt:
        yield " ".join(segment.prompt.split())
    if segment.energy is not None and not CALM < segment.energy < LIVELY:
        yield "calm" if segment.energy <= CALM else "energetic"


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))
