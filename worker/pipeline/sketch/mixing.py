"""Mixing: balance by measurement, a room, and a little glue on the sum."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from worker.pipeline.sketch.performing import play, strike
from worker.pipeline.sketch.score import Hit, Score
from worker.pipeline.sketch.styles import Style
from worker.pipeline.sketch.tones import RATE, Wave, filtered_noise, seconds

LEVELS: dict[str, tuple[float, float, float]] = {
    # dB of the loud moments, place left to right, share of the room
    "lead": (-17.0, 0.05, 1.0),
    "counter": (-23.0, 0.4, 1.2),
    "comp": (-21.0, -0.25, 0.7),
    "pad": (-24.5, 0.0, 1.1),
    "arp": (-26.5, 0.35, 0.9),
    "bass": (-17.5, 0.0, 0.06),
    "drums": (-16.0, 0.0, 1.0),
}


def mix(score: Score, style: Style, kit: str, check: Callable[[], None]) -> Wave:
    """The finished stereo sum, (2, round(duration * RATE)), peak 0.8."""
    samples = round(score.duration_s * RATE)
    music, low, room = (np.zeros((2, samples), np.float32) for _ in range(3))
    for part in score.parts:
        dry = _balanced(play(part, samples, check), part.role)
        (low if part.role == "bass" else music).__iadd__(dry)
        room += LEVELS[part.role][2] * dry
    check()
    if score.hits:
        dry, wet = strike(score.hits, kit, samples, check)
        gain = _gain(dry, LEVELS["drums"][0])
        low += gain * dry
        room += gain * wet / max(style.reverb, 0.05) * 0.3
    check()
    wave = band(music, 95.0, 20000.0) + style.reverb * reverberate(band(room, 180.0, 9000.0), style.reverb_s)
    if style.pump:
        wave *= _pump(score.hits, samples, style.pump)
    wave += low
    check()
    if style.dust:
        wave = _dusty(wave)
    return _glued(band(wave, 28.0, 20000.0))


def _balanced(dry: Wave, role: str) -> Wave:
    level, place, _ = LEVELS[role]
    angle = (place + 1) * np.pi / 4
    sides = np.array([[np.cos(angle)], [np.sin(angle)]], np.float32) * np.float32(np.sqrt(2))
    return dry * sides * _gain(dry, level)


def _gain(dry: Wave, level_db: float) -> np.float32:
    """What brings the loud moments (the upper quarter of 100 ms blocks that sound at all) to `level_db`."""
    block = RATE // 10
    usable = dry.shape[1] // block * block
    if not usable:
        return np.float32(10 ** (level_db / 20) / (float(np.sqrt(np.mean(dry**2))) + 1e-6))
    power = np.square(dry[:, :usable]).mean(axis=0).reshape(-1, block).mean(axis=1)
    sounding = power[power > 0.01 * power.max()] if power.max() > 0 else power
    loud = float(np.quantile(sounding, 0.75))
    return np.float32(10 ** (level_db / 20) / np.sqrt(loud + 1e-12)) if loud > 0 else np.float32(0)


def band(wave: Wave, low_hz: float, high_hz: float) -> Wave:
    """Second-order edges at both ends, without phase shift, by one FFT."""
    size = _fast_size(wave.shape[1] + RATE // 8)
    hz = np.fft.rfftfreq(size, 1 / RATE).astype(np.float32) + np.float32(1e-3)
    shape = 1 / np.sqrt((1 + (low_hz / hz) ** 4) * (1 + (hz / high_hz) ** 4))
    return np.fft.irfft(np.fft.rfft(wave, size) * shape, size)[:, : wave.shape[1]].astype(np.float32)


def reverberate(wave: Wave, decay_s: float) -> Wave:
    """A room whose highs die first, by FFT convolution with shaped noise; `decay_s` is the time to -60 dB."""
    rng = np.random.default_rng(20)
    count = int(1.1 * decay_s * RATE)
    t = seconds(count)
    response = np.zeros((2, count), np.float32)
    for low_hz, high_hz, share, level in ((120, 700, 1.0, 0.8), (700, 3000, 0.85, 1.0), (3000, 9000, 0.5, 0.7)):
        fall = np.exp(-6.9 * t / (decay_s * share))
        response += level * fall * np.stack([filtered_noise(count, low_hz, high_hz, rng) for _ in range(2)])
    response *= np.minimum(1, t / 0.012)
    response[:, : int(0.018 * RATE)] = 0  # before the first wall answers
    response /= np.sqrt(np.square(response).sum(axis=1, keepdims=True)) + 1e-9
    size = _fast_size(wave.shape[1] + count)
    return np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(response, size), size)[:, : wave.shape[1]].astype(
        np.float32
    )


def _fast_size(count: int) -> int:
    """The next size of the form 2^a or 3 * 2^a: quick to transform."""
    power = 1 << max(4, (count - 1).bit_length())
    return 3 * power // 4 if 3 * power // 4 >= count else power


def _pump(hits: Sequence[Hit], samples: int, depth: float) -> Wave:
    """The level of everything but the kick, pushed down by it."""
    gain = np.ones(samples, np.float32)
    span = int(0.4 * RATE)
    dip = 1 - depth * np.exp(-seconds(span) / 0.11)
    dip[: RATE // 200] = np.linspace(1, dip[RATE // 200], RATE // 200)
    for hit in hits:
        if hit.sound == "kick" and hit.velocity > 0.5:
            first = round(hit.start_s * RATE)
            last = min(samples, first + span)
            gain[first:last] = np.minimum(gain[first:last], dip[: max(0, last - first)])
    return gain


def _dusty(wave: Wave) -> Wave:
    """An old record: a slow wow, a dull top, crackle."""
    samples = wave.shape[1]
    t = np.arange(samples)
    place = t + 26 * np.sin(2 * np.pi * 0.55 * t / RATE) + 3 * np.sin(2 * np.pi * 5.1 * t / RATE)
    wave = np.stack([np.interp(place, t, side) for side in wave]).astype(np.float32)
    rng = np.random.default_rng(7)
    clicks = np.zeros(samples, np.float32)
    where = rng.integers(0, samples, max(1, int(9 * samples / RATE)))
    clicks[where] = rng.standard_normal(len(where)) ** 3
    crackle = band(clicks[None, :], 1200.0, 6000.0)[0]
    fade = np.minimum(1, t / (0.4 * RATE)) * np.minimum(1, (samples - t) / (0.8 * RATE))
    hiss = filtered_noise(samples, 400, 6000, rng)
    level = np.float32(wave.std())
    dust = (0.05 * level * crackle / (crackle.std() + 1e-9) + 0.05 * level * hiss) * fade
    return np.asarray(band(wave, 35.0, 6800.0) + dust.astype(np.float32), dtype=np.float32)


def _glued(wave: Wave) -> Wave:
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
    wave = np.tanh(wave / peak * np.float32(0.9))
    return np.asarray(0.8 * wave / (np.abs(wave).max() + 1e-9), dtype=np.float32)
