"""Mixing: players balanced by measurement, faders ridden from section to section, then the effects on the sum."""

from collections.abc import Callable, Sequence

import numpy as np

from worker.engines.sketch.effects import around, band, dust, glued, pumped, reverberate, shaped, tone, worn
from worker.engines.sketch.performing import play, strike
from worker.engines.sketch.score import Hit, Part, Score
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


_LEAD = 6 * RATE
"""What effects hear of a loop before it begins: longer than the longest room."""
_DYING_DB = 6.0
"""The last chord sinks by that, and what rings in a rest."""


def mix(score: Score, check: Callable[[], None]) -> Wave:
    """The finished stereo sum, (2, round(duration * RATE)), peak 0.8. `check` is called now and then and may raise."""
    wave = gathered(score, score.parts, score.hits, check)
    if score.style.dust:
        wave += dust(wave)
    check()
    wave = shaped(wave, tone(wave, score.style.tilt_db, score.style.low_db))
    check()
    return finished(wave, score)


def gathered(score: Score, parts: Sequence[Part], hits: Sequence[Hit], check: Callable[[], None]) -> Wave:
    """Some of a score's players, balanced and in the room, on a record that is worn where the style has one: all that is a sum.

    A loop has `_LEAD` samples of it more on either side.
    """
    style = score.style
    samples = round(score.duration_s * RATE)
    music, low, room = (np.zeros((2, samples), np.float32) for _ in range(3))
    for part in parts:
        level_db, place, share = LEVELS[part.role]
        dry = play(part, samples, check, loops=score.loops)
        dry *= panned(place) * 2**0.5 * _gain(dry, level_db)
        bus = low if part.role == "bass" else music
        bus += dry
        room += share * dry
    check()
    if hits:
        dry, wet = strike(hits, score.kit, samples, check, loops=score.loops)
        gain = _gain(dry, LEVELS["drums"][0])
        low += gain * dry
        room += gain * wet / max(style.reverb, 0.05) * 0.3
    check()
    lead = _LEAD if score.loops else 0
    music, low, room = (around(bus, lead) for bus in (music, low, room))
    wave = band(music, 95.0, 20000.0) + style.reverb * reverberate(room, style.reverb_s)
    if style.pump:
        wave *= around(pumped(score.hits, samples, style.pump, loops=score.loops), lead)
    wave += low
    check()
    return worn(wave, samples if score.loops else 0) if style.dust else wave


def finished(wave: Wave, score: Score) -> Wave:
    """The sum of all, glued together, its sections as loud as they are to be."""
    wave = _ridden(heard(glued(wave), score), score)
    return 0.8 * wave / (np.abs(wave).max() + 1e-9)


def heard(wave: Wave, score: Score) -> Wave:
    """A loop without what effects hear of it before and behind."""
    lead = _LEAD if score.loops else 0
    return wave[:, lead : lead + round(score.duration_s * RATE)]


def _gain(dry: Wave, level_db: float) -> np.float32:
    """What brings the loud moments (the upper quarter of 100 ms blocks that sound at all) to `level_db`."""
    block = RATE // 10
    usable = dry.shape[1] // block * block
    power = np.square(dry[:, :usable:5]).mean(axis=0).reshape(-1, block // 5).mean(axis=1)  # every fifth sample tells
    sounding = power[power > 0.01 * power.max()] if power.max() > 0 else power
    loud = float(np.quantile(sounding, 0.75))
    return np.float32(10 ** (level_db / 20) / np.sqrt(loud + 1e-12)) if loud > 0 else np.float32(0)


def _ridden(wave: Wave, score: Score) -> Wave:
    """Bring each section to the loudness its energy asks for, whoever plays; its end leans to what follows, and the last chord dies away.

    From no energy to all of it are the style's `range_db`, and from the piece's calmest section to its climax at least half of that.
    """
    if not score.sections:
        return wave
    range_db, last = score.style.range_db, round(score.final_s * RATE)
    edges = np.array([round(start_s * RATE) for start_s, _ in score.sections[1:]], int)
    parts = np.split(wave[:, :last], edges, axis=1)
    levels_db = np.array([10 * np.log10(np.square(part).mean() + 1e-9) for part in parts])
    for rest in score.rests:
        at = int(np.searchsorted(edges, round(rest.start_s * RATE), side="right"))
        silent = min(0.8, (rest.end_s - rest.start_s) * RATE / max(1, parts[at].shape[1]))
        levels_db[at] -= 10 * np.log10(1 - silent)  # of what sounds
    energies = np.array([energy for _, energy in score.sections])
    slope_db = max(range_db, 0.5 * range_db / max(float(np.ptp(energies)), 0.1))
    change_db = np.clip(slope_db * (energies - energies.max()) + levels_db.max() - levels_db, -range_db, 8.0)
    ends_db = change_db + 0.35 * np.diff(change_db, append=change_db[0 if score.loops else -1])
    borders = np.stack([edges - RATE // 50, edges], axis=1).ravel()  # 20 ms from one to the next
    places = [0, *borders, last, wave.shape[1]]
    values = [*np.stack([change_db, ends_db], axis=1).ravel(), change_db[-1] - _DYING_DB]
    if score.loops:
        places[-2:], values[-1] = [last - RATE // 50, last], change_db[0]
    times = np.arange(wave.shape[1], dtype=np.float32)
    gain_db = np.interp(times, places, values)
    for rest in score.rests:
        start, end = round(rest.start_s * RATE) + RATE // 5, round(rest.end_s * RATE)
        gain_db += np.interp(times, [start, end - RATE // 50, end], [0.0, -_DYING_DB, 0.0])
    gain = 10 ** (gain_db / 20)
    return wave * gain.astype(np.float32)
