"""Performing: a score becomes sound. Equal notes are made once and placed often."""

import zlib
from collections.abc import Callable, Sequence

import numpy as np

from worker.engines.sketch.kit import KITS, SOUNDS
from worker.engines.sketch.patches import PATCHES
from worker.engines.sketch.score import Hit, Part
from worker.engines.sketch.tones import RATE, Wave, panned

_LAYERS = 4
_TAKES = 4
_GRAIN_S = 0.06
"""Lengths are rounded to this, so that equal notes are found again."""


def play(part: Part, samples: int, check: Callable[[], None]) -> Wave:
    """One player's dry sound, (2, samples). `check` is called every few notes and may raise."""
    out = np.zeros((2, samples), np.float32)
    patch = PATCHES[part.instrument]
    seed = zlib.crc32(part.instrument.encode())
    made: dict[tuple[int, int, int], Wave] = {}
    for number, note in enumerate(part.notes):
        if number % 8 == 0:
            check()
        layer = min(_LAYERS, max(1, round(note.velocity * _LAYERS)))
        length = max(1, round(note.length_s / _GRAIN_S))
        item = (note.pitch, length, layer)
        if item not in made:
            hz = 440 * 2 ** ((note.pitch - 69) / 12)
            made[item] = patch.tone(hz, length * _GRAIN_S, layer / _LAYERS, seed + note.pitch)
        _place(out, made[item], note.start_s, note.velocity**1.3)
    return out


def strike(hits: Sequence[Hit], kit: str, samples: int, check: Callable[[], None]) -> tuple[Wave, Wave]:
    """The drums, dry and as sent to the room, each (2, samples)."""
    dry, room = np.zeros((2, samples), np.float32), np.zeros((2, samples), np.float32)
    made: dict[tuple[str, int], Wave] = {}
    for number, hit in enumerate(hits):
        if number % 32 == 0:
            check()
        make, level, place, wet = SOUNDS[hit.sound]
        take = (hit.sound, number % _TAKES)
        if take not in made:
            mono = make(np.random.default_rng([zlib.crc32(hit.sound.encode()), take[1]]))
            made[take] = level * KITS[kit].get(hit.sound, 1.0) * panned(place) * mono
        loud = hit.velocity**1.5
        _place(dry, made[take], hit.start_s, loud)
        _place(room, made[take], hit.start_s, loud * wet)
    return dry, room


def _place(out: Wave, wave: Wave, start_s: float, gain: float) -> None:
    first = round(start_s * RATE)
    last = min(out.shape[1], first + wave.shape[1])
    if last > first:
        out[:, first:last] += np.float32(gain) * wave[:, : last - first]
