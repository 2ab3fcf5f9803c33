"""What a listener would tap and hum: beats, tempo and key of a piece, heard on its samples and nothing else.

Beats: how much louder each band becomes (spectral flux), the pulse in that (autocorrelation), and the run of beats that keeps to the
pulse and meets the most onsets (Ellis, "Beat Tracking by Dynamic Programming", 2007). Key: which pitch classes stand out of the
spectrum, against Krumhansl's profiles as Sha'ath set them for popular music (KeyFinder, 2011).
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import median_filter, uniform_filter1d

from worker.domain import TONICS, Samples
from worker.pipeline.finish.onsets import PER_S, Curve, mono_of, onset_curve, rises, times_of

SLOWEST_BPM, FASTEST_BPM, SHORTEST_S = 45, 220, 3.0
_USUAL_BPM, _OCTAVES = 120, 0.9
"""People tap near this tempo: the standard deviation in octaves."""
_STEADY = 150.0
"""What a beat out of time costs, in deviations of the onset curve, times its squared logarithm over the pulse."""
_PULSE = 0.16
"""A pulse's least autocorrelation, times the root of the piece's seconds: that of noise reaches 0.1."""
_PITCHED, _CLASSES = 0.2, 2.5
"""A key's least share of power that stands out of its surroundings, and how many equally strong pitch classes it needs."""
_BESIDE = 15
"""Bins on either side of one that are its surroundings."""
_PROFILES = {
    "major": (6.6, 2.0, 3.5, 2.3, 4.6, 4.0, 2.5, 5.2, 2.4, 3.7, 2.3, 3.4),
    "minor": (6.5, 2.7, 3.5, 5.4, 2.6, 3.5, 2.5, 5.2, 4.0, 2.7, 4.3, 3.2),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """`bpm` is the mean over the piece, None (and no beats) where nothing pulses; `key` is like "D minor", None where nothing has pitch."""

    bpm: float | None = None
    beats_s: tuple[float, ...] = ()
    key: str | None = None


def hear(samples: Samples, rate: int, rise: Curve | None = None) -> Heard:
    """What one hears in (channels, samples) at any rate from 16 kHz; `rise` is what `rises` says of them, where that is known."""
    mono = mono_of(samples)
    if len(mono) < SHORTEST_S * rate:
        return Heard()
    curve = onset_curve(rises(mono, rate) if rise is None else rise)
    period = pulse(curve)
    places = beats(curve, period) if period else []
    if len(places) < 4:
        return Heard(key=key(mono, rate))
    times_s = times_of(np.array(places), rate)
    each_s = float(np.polyfit(np.arange(len(times_s)), times_s, 1)[0])
    return Heard(bpm=round(60 / each_s, 2), beats_s=tuple(times_s.round(4).tolist()), key=key(mono, rate))


def pulse(curve: Curve) -> float | None:
    """Frames from beat to beat, or None where nothing comes again."""
    count = len(curve)
    again = irfft(np.abs(rfft(curve, next_fast_len(2 * count))) ** 2)[:count].astype(np.float64)
    if again[0] <= 0:
        return None
    again = uniform_filter1d(again, 5) / again[0] * count / np.maximum(count - np.arange(count), count / 4)
    lags = np.arange(60 * PER_S // FASTEST_BPM, min(60 * PER_S // SLOWEST_BPM, count // 3))
    shares = ((1, 0.4), (2, 0.3), (3, 0.1), (4, 0.2))  # of once, twice, ... as long: a beat is part of a bar
    often = sum(share * again[np.minimum(lags * times, count - 1)] for times, share in shares)
    best = int(np.argmax(often * np.exp(-0.5 * (np.log2(60 * PER_S / lags / _USUAL_BPM) / _OCTAVES) ** 2)))
    return float(lags[best]) if often[best] >= _PULSE / np.sqrt(count / PER_S) else None


def beats(curve: Curve, period: float) -> list[float]:
    """Frames of the beats, and parts of frames."""
    onset = uniform_filter1d(curve, 3)
    nearest, farthest = round(0.7 * period), round(1.4 * period)
    lags = np.arange(nearest, farthest + 1)
    score = np.zeros(farthest + len(curve))  # from `farthest` before the start
    before = np.full(len(curve), -1)
    for first in range(0, len(curve), nearest):  # no beat follows one of its own stretch
        here = np.arange(first, min(first + nearest, len(curve)))
        ways = score[here[:, None] + farthest - lags] - _STEADY * np.log(lags / period) ** 2  # (stretch, lags)
        before[here] = np.maximum(here - lags[ways.argmax(axis=1)], -1)
        score[here + farthest] = onset[here] + ways.max(axis=1)
    place, run = int(len(curve) - farthest + score[-farthest:].argmax()), []
    while place >= 0:
        run.append(place)
        place = int(before[place])
    struck = np.flatnonzero(onset[run] > 0)  # before the first and after the last stroke nobody taps
    return [_peak(onset, place) for place in run[struck[0] : struck[-1] + 1][::-1]] if len(struck) else []


def _peak(curve: Curve, place: int) -> float:
    """Where between two frames the curve is highest, by a parabola."""
    left, here, right = np.pad(curve, 1)[place : place + 3]
    return place + float(np.clip((right - left) / 2 / max(2 * here - left - right, 1e-9), -0.5, 0.5))


def key(mono: Curve, rate: int) -> str | None:
    """The key whose profile the pitch classes from 60 Hz to 4 kHz are most like; a running median in time leaves drums out."""
    size = 16_384 if rate > 30_000 else 8192
    frames = np.lib.stride_tricks.sliding_window_view(mono, size)[:: size // 2] * np.hanning(size).astype(np.float32)
    bins = np.arange(60 * size // rate, 4000 * size // rate)
    power = median_filter(np.abs(rfft(frames, axis=1)[:, bins]), (5, 1)) ** 2  # (frames, bins)
    # All frames in one row: a median over one dimension takes a tenth of the time.
    around = np.pad(power, ((0, 0), (_BESIDE, _BESIDE)), "symmetric")
    usual = median_filter(around.ravel(), 2 * _BESIDE + 1).reshape(around.shape)[:, _BESIDE:-_BESIDE]
    pitched = np.maximum(power - 3 * usual, 0)
    if pitched.sum() <= _PITCHED * power.sum():
        return None
    classes = np.round(12 * np.log2(bins * rate / size / 440) + 69).astype(int) % 12
    chroma = np.sqrt(pitched) @ np.eye(12)[classes]  # (frames, 12)
    heard = (chroma / np.sqrt(chroma.sum(axis=1, keepdims=True) + 1e-9)).sum(axis=0)
    if heard.sum() ** 2 < _CLASSES * (heard**2).sum():
        return None
    keys = [(tonic, mode) for mode in _PROFILES for tonic in range(12)]
    tonic, mode = max(keys, key=lambda one: np.corrcoef(heard, np.roll(_PROFILES[one[1]], one[0]))[0, 1])
    return f"{TONICS[tonic]} {mode}"
