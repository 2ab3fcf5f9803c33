"""Moments that the music should meet, as the director proposes them: few, and only at cuts that are known to the frame.

docs/sound.md tells the rules. Of a film whose key frames are all that was looked at nothing is proposed: a stroke beside the
cut is worse than none.
"""

from collections.abc import Iterable
from itertools import pairwise

from worker.domain import Clip, Hit, Scene

MOST = 6
_NEAR_S = 0.5
"""A model sees a frame every second or so: the cut that it means is not further from what it says."""
_APART_S = 1.0
_MOST_SEEN, _SEEN_APART_S = 2, 8.0
"""How many moments the local rules find in a film at most, and how far apart."""
_JUMP, _LIVELY, _STILL = 0.4, 0.6, 0.1
"""Of motion: the least step at a cut, what a drop leads to at least, and what a stop leads to at most."""
_HELD_S = 2.0
"""How long the scenes before and behind a moment last at least: in a quick row of pictures none is one."""
_ROOM_S = 4.0
"""A build before a drop, and music that goes on behind a stop, need so much."""


def on_cuts(named: Iterable[Hit], clip: Clip) -> tuple[Hit, ...]:
    """What a model named, where the film has a cut, in order; what is no cut, or too near another moment, is left out."""
    cuts_s = () if clip.glanced else clip.cuts_s
    kept: list[Hit] = []
    for hit in named:
        cut_s = min(cuts_s, key=lambda at_s: abs(at_s - hit.at_s), default=None)
        if cut_s is None or abs(cut_s - hit.at_s) > _NEAR_S:
            continue
        if len(kept) < MOST and all(abs(cut_s - other.at_s) >= _APART_S for other in kept):
            kept.append(Hit(at_s=round(cut_s, 3), kind=hit.kind))
    return _in_order(kept)


def seen(clip: Clip) -> tuple[Hit, ...]:
    """What the picture itself asks for: a drop where a calm scene is followed by a much livelier one, a stop where a lively one is
    followed by rest; nothing where somebody speaks."""
    if clip.glanced:
        return ()
    steps = [(after.motion - before.motion, after) for before, after in pairwise(clip.scenes) if _held(before, after)]
    found: list[Hit] = []
    for step, after in sorted(steps, key=lambda one: -abs(one[0])):
        at_s = after.start_s
        if step >= _JUMP and after.motion >= _LIVELY:
            hit = Hit(at_s=round(at_s, 3), kind="drop")
        elif step <= -_JUMP and after.motion <= _STILL:
            hit = Hit(at_s=round(at_s, 3), kind="stop")
        else:
            continue
        free = _ROOM_S <= at_s <= clip.duration_s - _ROOM_S and not _spoken(clip, at_s)
        if free and len(found) < _MOST_SEEN and all(abs(at_s - other.at_s) >= _SEEN_APART_S for other in found):
            found.append(hit)
    return _in_order(found)


def _held(*scenes: Scene) -> bool:
    return all(scene.end_s - scene.start_s >= _HELD_S for scene in scenes)


def _spoken(clip: Clip, at_s: float) -> bool:
    return any(span.start_s <= at_s <= span.end_s for span in clip.speech)


def _in_order(hits: Iterable[Hit]) -> tuple[Hit, ...]:
    return tuple(sorted(hits, key=lambda hit: hit.at_s))
