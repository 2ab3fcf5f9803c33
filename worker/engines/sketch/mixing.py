"""Mixing: players balanced by measurement, faders ridden from section to section, then the effects on the sum."""

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
        level_db, place, share = LEVELS[part.role]
        dry = play(part, samples, check)
        dry *= panned(place) * 2**0.5 * _gain(dry, level_db)
        bus = low if part.role == "bass" else music
        bus += dry
        room += share * dry
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


def _gain(dry: Wave, level_db: float) -> np.float32:
    """What brings the loud moments (the upper quarter of 100 ms blocks that sound at all) to `level_db`."""
    block = RATE // 10
    usable = dry.shape[1] // block * block
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
    levels_db = np.array([10 * np.log10(part.mean() + 1e-9) for part in np.split(power, starts[1:])])
    energies = np.array([energy for _, energy in sections])
    goals_db = levels_db.max() - 8.0 * (energies.max() - energies)
    change_db = np.clip(0.75 * (goals_db - levels_db), -3.0, 10.0)
    edges = np.array(starts[1:])
    places = np.append(0, np.stack([edges - RATE // 50, edges], axis=1))  # 20 ms from one to the next
    values = np.repeat(change_db, 2)[:-1]
    gain = 10 ** (np.interp(np.arange(wave.shape[1]), places, values) / 20)
    return wave * gain.astype(np.float32)
