"""Drums: every sound as a short wave (n,), several takes of each so that no two strokes are the same."""

from collections.abc import Callable

import numpy as np

from worker.engines.sketch.tones import RATE, Wave, fall, filtered_noise, time_axis

Sound = Callable[[np.random.Generator], Wave]
RISE_S = 1.5
_TAU = 2 * np.pi


def _boom(
    rng: np.random.Generator, low_hz: float, high_hz: float, sweep_s: float, decay_s: float, click: float
) -> Wave:
    """A membrane: a sine that falls from `high_hz` to `low_hz`."""
    count = int(decay_s * 6 * RATE)
    t = time_axis(count)
    phase = low_hz * t + (high_hz - low_hz) * sweep_s * (1 - np.exp(-t / sweep_s))
    wave = np.sin(_TAU * phase) * fall(count, decay_s)
    snap = min(count, int(0.012 * RATE))
    wave[:snap] += click * filtered_noise(snap, 1500, 7000, rng) * fall(snap, 0.003)
    return wave


def _snare(rng: np.random.Generator, body_hz: float, decay_s: float, bright_hz: float) -> Wave:
    count = int(decay_s * 7 * RATE)
    t = time_axis(count)
    skin = np.sin(_TAU * body_hz * t) + 0.6 * np.sin(_TAU * 1.78 * body_hz * t)
    wires = filtered_noise(count, 1100, bright_hz, rng)
    return 0.42 * skin * fall(count, 0.055) + 0.75 * wires * fall(count, decay_s)


def _gated(rng: np.random.Generator) -> Wave:
    """The big room, cut off: the snare of the eighties."""
    dry = _snare(rng, 176, 0.1, 9000)
    count = int(0.34 * RATE)
    room = filtered_noise(count, 350, 6500, rng) * (1 - 0.35 * time_axis(count) / 0.34)
    room[-int(0.02 * RATE) :] *= np.linspace(1, 0, int(0.02 * RATE), dtype=np.float32)
    room *= 0.45
    room[: min(count, len(dry))] += dry[:count]
    return room


def _metal(rng: np.random.Generator, count: int, low_hz: float) -> Wave:
    """Six inharmonic squares and air: the stuff of cymbals."""
    t = time_axis(count)
    ring = np.zeros(count, np.float32)
    for ratio in (2.0, 3.0, 4.16, 5.43, 6.79, 8.21):
        ring += np.sign(np.sin(_TAU * 327 * ratio * rng.uniform(0.99, 1.01) * t)).astype(np.float32)
    spectrum = np.fft.rfft(ring)
    hz = np.fft.rfftfreq(count, 1 / RATE) + 1
    spectrum *= 1 / np.sqrt((1 + (low_hz / hz) ** 8) * (1 + (hz / 13000) ** 4))
    ring = np.fft.irfft(spectrum, count).astype(np.float32)
    return 0.5 * ring / (np.abs(ring).max() + 1e-9) + 0.5 * filtered_noise(count, low_hz, 14000, rng)


def _cymbal(rng: np.random.Generator, decay_s: float, low_hz: float) -> Wave:
    count = int(decay_s * 5 * RATE)
    return _metal(rng, count, low_hz) * fall(count, decay_s)


def _crash(rng: np.random.Generator) -> Wave:
    count = int(2.4 * RATE)
    wave = filtered_noise(count, 2600, 12500, rng, slope=1.2) * (0.7 * fall(count, 0.5) + 0.3 * fall(count, 0.06))
    return wave + 0.25 * _metal(rng, count, 4500) * fall(count, 0.35)


def _clap(rng: np.random.Generator) -> Wave:
    count = int(0.3 * RATE)
    shape = np.zeros(count, np.float32)
    for delay_s, level, decay_s in ((0.0, 0.7, 0.004), (0.011, 0.8, 0.004), (0.021, 1.0, 0.06)):
        start = int(delay_s * RATE)
        shape[start:] += level * fall(count - start, decay_s)
    return filtered_noise(count, 900, 5200, rng) * shape


def _shaken(rng: np.random.Generator, decay_s: float, low_hz: float) -> Wave:
    count = int(decay_s * 6 * RATE)
    return filtered_noise(count, low_hz, 11000, rng) * fall(count, decay_s) * np.minimum(1, time_axis(count) / 0.012)


def _rim(rng: np.random.Generator) -> Wave:
    count = int(0.09 * RATE)
    t = time_axis(count)
    wave = np.sin(_TAU * 820 * t) + 0.7 * np.sin(_TAU * 1710 * t)
    stick = filtered_noise(count, 1500, 6000, rng)
    return 0.5 * wave * fall(count, 0.012) + 0.25 * stick * fall(count, 0.01)


def _rise(rng: np.random.Generator) -> Wave:
    """A reversed cymbal: play it so that it ends on the moment it announces."""
    count = int(RISE_S * RATE)
    return (filtered_noise(count, 2200, 9000, rng, slope=1.2) * fall(count, 0.38))[::-1]


def _taiko(rng: np.random.Generator) -> Wave:
    wave = _boom(rng, 58, 105, 0.05, 0.42, 0.1)
    hit = int(0.25 * RATE)
    wave[:hit] += 0.35 * filtered_noise(hit, 90, 700, rng) * fall(hit, 0.05)
    return wave


SOUNDS: dict[str, tuple[Sound, float, float, float]] = {
    # how it is made, level, place left (-1) to right (1), reverb
    "kick": (lambda rng: _boom(rng, 48, 160, 0.03, 0.13, 0.25), 0.95, 0.0, 0.03),
    "snare": (lambda rng: _snare(rng, 188, 0.085, 8500), 0.62, 0.05, 0.25),
    "gated": (_gated, 0.62, 0.0, 0.3),
    "clap": (_clap, 0.55, -0.08, 0.3),
    "rim": (_rim, 0.42, 0.12, 0.2),
    "hat": (lambda rng: _cymbal(rng, 0.028, 6500), 0.36, 0.28, 0.05),
    "open": (lambda rng: _cymbal(rng, 0.13, 6000), 0.36, 0.28, 0.08),
    "pedal": (lambda rng: _cymbal(rng, 0.018, 4800), 0.2, 0.25, 0.05),
    "ride": (lambda rng: _cymbal(rng, 0.3, 4200), 0.28, -0.3, 0.12),
    "crash": (_crash, 0.36, -0.25, 0.3),
    "tom": (lambda rng: _boom(rng, 92, 150, 0.05, 0.17, 0.08), 0.6, 0.2, 0.25),
    "floor tom": (lambda rng: _boom(rng, 66, 112, 0.05, 0.22, 0.08), 0.66, -0.25, 0.25),
    "conga": (lambda rng: _boom(rng, 196, 235, 0.02, 0.09, 0.12), 0.4, -0.3, 0.2),
    "shaker": (lambda rng: _shaken(rng, 0.035, 4200), 0.28, 0.35, 0.1),
    "brush": (lambda rng: _shaken(rng, 0.1, 1800), 0.3, 0.05, 0.15),
    "taiko": (_taiko, 0.95, 0.0, 0.55),
    "rise": (_rise, 0.22, 0.1, 0.35),
}

KITS: dict[str, dict[str, float]] = {
    # loudness of each sound against the default; what a kit lacks is 1
    "rock": {},
    "machine": {"kick": 1.15, "hat": 0.9},
    "retro": {"kick": 1.1, "tom": 1.1},
    "dusty": {"hat": 0.7, "kick": 0.9, "crash": 0.35, "rise": 0.3},
    "brushes": {"snare": 0.35, "kick": 0.5, "crash": 0.45, "tom": 0.5, "rise": 0.3},
    "hands": {"kick": 0.55, "crash": 0.4, "clap": 0.6, "snare": 0.3, "rise": 0.4},
    "orchestral": {"kick": 0.6, "hat": 0.4, "shaker": 0.6, "crash": 1.1},
}
