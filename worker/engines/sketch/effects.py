"""Effects on a whole mix: tone, room, pump, dust and glue. Waves are (2, n) float32 at RATE."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from worker.convolution import convolved
from worker.engines.sketch.score import Hit
from worker.engines.sketch.tones import RATE, Wave, fall, filtered_noise, time_axis

_TAPS = 8192
_GRID_HZ = np.fft.rfftfreq(_TAPS, 1 / RATE) + 1e-3
CENTRES_HZ = 31.25 * 2.0 ** np.arange(10)
TARGET_DB = np.array([-9.0, -3.0, -1.5, -2.5, -4.5, -7.0, -10.0, -13.0, -16.5, -23.0])
"""Power in octaves from 31 Hz to 16 kHz of a record that sounds neither dull nor sharp."""


def band(wave: Wave, low_hz: float, high_hz: float) -> Wave:
    """Second-order edges at both ends, without phase shift."""
    return shaped(wave, 1 / np.sqrt((1 + (low_hz / _GRID_HZ) ** 4) * (1 + (_GRID_HZ / high_hz) ** 4)))


def shaped(wave: Wave, gains: Wave) -> Wave:
    """Filter by gains at `_GRID_HZ`: a symmetric window of taps, its delay taken back."""
    taps = np.roll(np.fft.irfft(gains), _TAPS // 2) * np.hanning(_TAPS + 1)[:-1]
    late = np.pad(wave, ((0, 0), (0, _TAPS // 2)))
    return convolved(late, taps.astype(np.float32)[None, :])[:, _TAPS // 2 :]


@lru_cache(maxsize=8)
def _room(decay_s: float) -> Wave:
    """The answer of a room to a click, (2, n), unit energy; the highs die first. `decay_s` is the time to -60 dB."""
    rng = np.random.default_rng(20)
    count = int(1.1 * decay_s * RATE)
    response = np.zeros((2, count), np.float32)
    for low_hz, high_hz, share, level in ((180, 700, 1.0, 0.8), (700, 3000, 0.85, 1.0), (3000, 9000, 0.5, 0.7)):
        noise = np.stack([filtered_noise(count, low_hz, high_hz, rng) for _ in range(2)])
        response += level * fall(count, decay_s * share / 6.9) * noise
    response *= np.minimum(1, time_axis(count) / 0.012)
    response[:, : int(0.018 * RATE)] = 0  # before the first wall answers
    response = band(response, 180.0, 9000.0)
    return response / np.sqrt(np.square(response).sum(axis=1, keepdims=True))


def reverberate(wave: Wave, decay_s: float) -> Wave:
    """What the room answers, as long as the wave."""
    return convolved(wave, _room(decay_s))


def around(wave: Wave, lead: int) -> Wave:
    """A loop with `lead` samples of it more on either side, for effects that remember."""
    return np.pad(wave, [(0, 0)] * (wave.ndim - 1) + [(lead, lead)], mode="wrap") if lead else wave


def pumped(hits: Sequence[Hit], samples: int, depth: float, *, loops: bool = False) -> Wave:
    """The level of everything but the kick, pushed down by it."""
    gain = np.ones(samples, np.float32)
    span = int(0.4 * RATE)
    dip = 1 - depth * fall(span, 0.11)
    dip[: RATE // 200] = np.linspace(1, dip[RATE // 200], RATE // 200)
    for hit in hits:
        if hit.sound == "kick" and hit.velocity > 0.5:
            first = round(hit.start_s * RATE)
            last = min(samples, first + span)
            gain[first:last] = np.minimum(gain[first:last], dip[: max(0, last - first)])
            if loops and (beyond := min(samples, first + span - samples)) > 0:
                gain[:beyond] = np.minimum(gain[:beyond], dip[samples - first :][:beyond])
    return gain


def worn(wave: Wave, turn: int = 0) -> Wave:
    """What an old record makes of music: a slow wow, a dull top. The wow comes again every `turn` samples, if that is to be."""
    t = np.arange(wave.shape[1])
    slow, fast = (max(1, round(hz * turn / RATE)) / turn if turn else hz / RATE for hz in (0.55, 5.1))
    place = t + 26 * np.sin(2 * np.pi * slow * t) + 3 * np.sin(2 * np.pi * fast * t)
    return band(np.stack([np.interp(place, t, side) for side in wave]).astype(np.float32), 35.0, 6800.0)


def dust(wave: Wave) -> Wave:
    """What it adds to music that is so loud, (samples,): crackle and hiss."""
    samples = wave.shape[1]
    t = np.arange(samples)
    rng = np.random.default_rng(7)
    clicks = np.zeros(samples, np.float32)
    where = rng.integers(0, samples, max(1, int(9 * samples / RATE)))
    clicks[where] = rng.standard_normal(len(where)) ** 3
    crackle = band(clicks[None, :], 1200.0, 6000.0)[0]
    fade = np.minimum(1, t / (0.4 * RATE)) * np.minimum(1, (samples - t) / (0.8 * RATE))
    hiss = filtered_noise(samples, 400, 6000, rng)
    level = np.float32(wave.std())
    added = (0.05 * level * crackle / (crackle.std() + 1e-9) + 0.05 * level * hiss) * fade
    return added.astype(np.float32)


def glued(wave: Wave) -> Wave:
    """A bus compressor of ratio 2 with slow hands, then a soft knee for the peaks."""
    block = 512
    samples = wave.shape[1]
    padded = np.pad(np.square(wave).mean(axis=0), (0, -samples % block))
    level_db = 10 * np.log10(padded.reshape(-1, block).mean(axis=1) + 1e-10)
    threshold = float(np.quantile(level_db, 0.6))
    wanted = -0.5 * np.maximum(0, level_db - threshold)
    smooth = np.empty_like(wanted)
    now = 0.0
    for index, target in enumerate(wanted):
        now += (target - now) * (0.35 if target < now else 0.06)
        smooth[index] = now
    centres = (np.arange(len(smooth)) + 0.5) * block
    wave = wave * (10 ** (np.interp(np.arange(samples), centres, smooth) / 20)).astype(np.float32)
    peak = float(np.quantile(np.abs(wave).max(axis=0), 0.9995)) + 1e-9
    return np.tanh(wave / peak * np.float32(0.9))


def goal_db(tilt_db: float, low_db: float) -> Wave:
    """A genre's tone, power in the octaves of `CENTRES_HZ`: duller or brighter by `tilt_db` an octave above 1 kHz, `low_db` more under 120 Hz."""
    return TARGET_DB + tilt_db * np.maximum(0, np.log2(CENTRES_HZ / 1000)) + low_db * (CENTRES_HZ < 120)


def tone(wave: Wave, tilt_db: float, low_db: float) -> Wave:
    """The gains at `_GRID_HZ` that bring a wave most of the way from its own balance to its genre's, at most 8 dB up and down; no rumble under 28 Hz."""
    blocks = wave[:, : wave.shape[1] // _TAPS * _TAPS].reshape(-1, _TAPS)
    spectra = np.fft.rfft(blocks[:: max(1, len(blocks) // 400)] * np.hanning(_TAPS).astype(np.float32), axis=1)
    power = np.square(np.abs(spectra)).sum(axis=0)
    edges = np.searchsorted(_GRID_HZ, CENTRES_HZ / 2**0.5)
    octaves = 10 * np.log10(np.add.reduceat(power, edges) + 1e-12)
    weights = np.array([0.3, 1, 1, 1, 1, 1, 1, 1, 1, 0.5])
    difference = goal_db(tilt_db, low_db) - octaves
    difference -= np.average(difference, weights=weights)
    change = np.clip(0.85 * difference, -8.0, np.where(CENTRES_HZ < 120, 3.0, 8.0))
    curve_db = np.interp(np.log2(_GRID_HZ), np.log2(CENTRES_HZ), change)
    return 10 ** (curve_db / 20) / np.sqrt(1 + (28.0 / _GRID_HZ) ** 4)
