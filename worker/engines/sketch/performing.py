"""Performing: a score becomes sound. Equal notes are made twice, no two players' alike, and placed often."""

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from worker.engines.sketch.kit import KITS, SOUNDS
from worker.engines.sketch.patches import PATCHES
from worker.engines.sketch.score import Hit, Part
from worker.engines.sketch.tones import RATE, Wave, panned

_LAYERS = 4
_TAKES, _STROKES = 2, 4
"""Waves of equal notes, and of equal strokes, in turns: the same one again and again is a machine's."""
_GRAIN_S = 0.06
"""Lengths are rounded to this, so that equal notes are found again."""


def play(part: Part, samples: int, check: Callable[[], None], *, loops: bool = False) -> Wave:
    """One player's dry sound, (2, samples). `check` is called every few notes and may raise. In a loop what rings on begins it."""
    out = np.zeros((2, samples), np.float32)
    patch = PATCHES[part.instrument]
    seed = zlib.crc32(f"{part.role} {part.instrument}".encode())
    made: dict[tuple[int, int, int, int], Wave] = {}
    again = Counter[int]()
    for number, note in enumerate(part.notes):
        if number % 8 == 0:
            check()
        layer = min(_LAYERS, max(1, round(note.velocity * _LAYERS)))
        length = max(1, round(note.length_s / _GRAIN_S))
        again[note.pitch] += 1
        item = (note.pitch, length, layer, again[note.pitch] % _TAKES)
        if item not in made:
            hz = 440 * 2 ** ((note.pitch - 69) / 12)
            made[item] = patch.tone(hz, length * _GRAIN_S, layer / _LAYERS, seed + note.pitch + 1000 * item[3])
        _place(out, made[item], note.start_s, note.velocity**1.3, loops)
    return out


def strike(
    hits: Sequence[Hit], kit: str, samples: int, check: Callable[[], None], *, loops: bool = False
) -> tuple[Wave, Wave]:
    """The drums, dry and as sent to the room, each (2, samples)."""
    dry, room = np.zeros((2, samples), np.float32), np.zeros((2, samples), np.float32)
    made: dict[tuple[str, int], Wave] = {}
    for number, hit in enumerate(hits):
        if number % 32 == 0:
            check()
        _, level, place, wet = SOUNDS[hit.sound]
        take = (hit.sound, number % _STROKES)
        if take not in made:
            made[take] = level * KITS[kit].get(hit.sound, 1.0) * panned(place) * _stroke(*take)
        loud = hit.velocity**1.5
        _place(dry, made[take], hit.start_s, loud, loops)
        _place(room, made[take], hit.start_s, loud * wet, loops)
    return dry, room


@lru_cache(maxsize=len(SOUNDS) * _STROKES)
def _stroke(sound: str, take: int) -> Wave:
    return SOUNDS[sound][0](np.random.default_rng([zlib.crc32(sound.encode()), take]))


def _place(out: Wave, wave: Wave, start_s: float, gain: float, loops: bool) -> None:
    first = round(start_s * RATE)
    last = min(out.shape[1], first + wave.shape[1])
    if last > first:
        out[:, first:last] += np.float32(gain) * wave[:, : last - first]
        if loops and (beyond := wave[:, last - first :]).shape[1]:
            _place(out, beyond, 0.0, gain, loops)
