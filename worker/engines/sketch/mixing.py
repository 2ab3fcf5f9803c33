"""Mixing: players balanced by measurement, faders ridden from section to section, then the effects on the sum."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from worker.engines.sketch.effects import band, dusty, glued, pumped, reverberate, toned
from worker.engines.sketch.performing import play, strike
from worker.engines.sketch.score import Score
from worker.engines.sketch.tones import RATE, Wave, panned

LEVELS: dict[str, tuple[float, float, float]] = {
    # dB of the loud moments, place left to right, share of the room
    "lead": (-18.5, 0.05, 1.0),
    "counter": (-23.0, 0.4, 1.2),
    "comp": (-21.0, -0.25, 0.7),
    "pad": (-24.5, 0.0, 1.1),
    "arp": (-26.5, 0.35, 0.9),
    "bass": (-19.5, 0.0, 0.06),
    "drums": (-16.5, 0.0, 1.0),
}


def mix(score: Score, check: Callable[[], None]) -> Wave:
    """The finished stereo sum, (2, round(duration * RATE)), peak 0.8. `check` is called now and then and may raise."""
    style = score.style
    samples = round(score.duration_s * RATE)
    music, low, room = (np.zeros((2, samples), np.float32) for _ in range(3))
    for part in score.parts:
        dry = _balanced(play(part, samples, check), part.role)
        bus = low if part.role == "bass" else music
        bus += dry
        room += LEVELS[part.role][2] * dry
    check()
    if score.hits:
        dry, wet = strike(score.hits, score.kit, samples, check)
        gain = _gain(dry, LEVELS["drums"][0])
        low += gain * dry
        room += gain * wet / max(style.reverb, 0.05) * 0.3
    check()
    wave = band(music, 95.0, 20000.0) + style.reverb * reverberate(room, style.reverb_s)
    if style.pump:
        wave *= pumped(score.hits, samples, style.pump)
    wave += low
    check()
    if style.dust:
        wave = dusty(wave)
    check()
    wave = toned(_ridden(wave, score.sections), style.tilt_db)
    check()
    return glued(wave)


def _balanced(dry: Wave, role: str) -> Wave:
    level, place, _ = LEVELS[role]
    return dry * panned(place) * 2**0.5 * _gain(dry, level)


def _gain(dry: Wave, level_db: float) -> np.float32:
    """What brings the loud moments (the upper quarter of 100 ms blocks that sound at all) to `level_db`."""
    block = RATE // 10
    usable = dry.shape[1] // block * block
    if not usable:
        return np.float32(10 ** (level_db / 20) / (float(np.sqrt(np.mean(dry**2))) + 1e-6))
    power = np.square(dry[:, :usable:5]).mean(axis=0).reshape(-1, block // 5).mean(axis=1)  # every fifth sample tells
    sounding = power[power > 0.01 * power.max()] if power.max() > 0 else power
    loud = float(np.quantile(sounding, 0.75))
    return np.float32(10 ** (level_db / 20) / np.sqrt(loud + 1e-12)) if loud > 0 else np.float32(0)


def _ridden(wave: Wave, sections: Sequence[tuple[float, float]]) -> Wave:
    """Bring each section to the loudness its energy asks for: 8 dB from none to all, whoever plays."""
    starts = [round(start_s * RATE) for start_s, _ in sections]
    if len(starts) < 2:
        return wave
    power = np.square(wave).mean(axis=0)
    levels_db = [
        10 * np.log10(float(part.mean()) + 1e-9) if len(part) else -90.0 for part in np.split(power, starts[1:])
    ]
    energies = [energy for _, energy in sections]
    loudest = max(energies)
    goals_db = [max(levels_db) - 8.0 * (loudest - energy) for energy in energies]
    change_db = [min(10.0, max(-3.0, 0.75 * (goal - level))) for goal, level in zip(goals_db, levels_db, strict=True)]
    glide = RATE // 50
    places = [0, *(place for start in starts[1:] for place in (start - glide, start))]
    values = [change_db[0], *(value for before, after in itertools.pairwise(change_db) for value in (before, after))]
    gain = 10 ** (np.interp(np.arange(wave.shape[1]), places, values) / 20)
    return wave * gain.astype(np.float32)
