"""What a listener would tap and hum: beats, tempo and key of a piece, heard on its samples and nothing else.

Beats: how much louder each band becomes (spectral flux), the pulse in that (autocorrelation), and the run of beats that keeps to the
pulse and meets the most onsets (Ellis, "Beat Tracking by Dynamic Programming", 2007). Key: which pitch classes stand out of the
spectrum, against Krumhansl's profiles as Sha'ath set them for popular music (KeyFinder, 2011).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import maximum_filter1d, median_filter, uniform_filter1d

from worker.domain import TONICS, Samples

PER_S = 200
"""Frames of the onset curve in a second."""
SLOWEST_BPM, FASTEST_BPM, SHORTEST_S = 45, 220, 3.0
_LATE_S = 0.0085
"""A frame that has had this much of a stroke is the one in which the curve is highest."""
_USUAL_BPM, _OCTAVES = 120, 0.9
"""People tap near this tempo: the standard deviation in octaves."""
_STEADY = 150.0
"""What a beat out of time costs, in deviations of the onset curve, times its squared logarithm over the pulse."""
_PULSE = 0.16
"""A pulse's least autocorrelation, times the root of the piece's seconds: that of noise reaches 0.1."""
_PITCHED, _CLASSES = 0.2, 2.5
"""A key's least share of power that stands out of its surroundings, and how many equally strong pitch classes it needs."""
_PROFILES = {
    "major": (6.6, 2.0, 3.5, 2.3, 4.6, 4.0, 2.5, 5.2, 2.4, 3.7, 2.3, 3.4),
    "minor": (6.5, 2.7, 3.5, 5.4, 2.6, 3.5, 2.5, 5.2, 4.0, 2.7, 4.3, 3.2),
}

Curve = npt.NDArray[np.float32]


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


def mono_of(samples: Samples) -> Curve:
    return np.ascontiguousarray(samples.mean(axis=0), dtype=np.float32)


def times_of(places: npt.NDArray[np.floating], rate: int) -> npt.NDArray[np.floating]:
    """When what peaks at these frames of the onset curve is struck, in seconds."""
    return places / PER_S + _window(rate) / 2 / rate - _LATE_S


def rises(mono: Curve, rate: int) -> Curve:
    """How much louder the bands of hearing become, (frames,), 0 or more; empty for less than a frame."""
    if len(mono) * PER_S < rate:
        return np.zeros(0, np.float32)
    size = _window(rate)
    starts = np.round(np.arange(int(len(mono) * PER_S / rate)) * rate / PER_S).astype(int)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(mono, (size // 2, size)), size)
    levels = np.empty((len(starts), 40), np.float32)
    for first in range(0, len(starts), 1000):  # as much at a time as the cache holds
        frames = around[starts[first : first + 1000]] * np.hanning(size).astype(np.float32)
        levels[first : first + 1000] = np.abs(rfft(frames, axis=1, overwrite_x=True)) @ _bands(rate, size)
    levels = np.log1p(levels * np.float32(1000 / max(float(levels.max()), 1e-9)))
    # Against the louder of three neighbouring bands: a vibrato is no onset.
    return np.pad(np.maximum(levels[2:] - maximum_filter1d(levels, 3, axis=1)[:-2], 0).sum(axis=1), (2, 0))[
        : len(levels)
    ]


def onset_curve(rise: Curve) -> Curve:
    """Strokes in the rise, (frames,): its mean is about 0, its standard deviation 1 (silence: all 0)."""
    rise = rise - uniform_filter1d(rise, PER_S)
    return np.asarray(rise / max(float(rise.std()), 1e-9), dtype=np.float32)


def _window(rate: int) -> int:
    return 1024 if rate > 30_000 else 512


@lru_cache(maxsize=4)
def _bands(rate: int, size: int) -> npt.NDArray[np.float32]:
    """Forty overlapping triangles on the mel scale from 30 Hz to 11 kHz, (bins, 40)."""
    most = 2595 * np.log10(1 + min(11_000, 0.48 * rate) / 700)
    edges = 700 * (10 ** (np.linspace(47, most, 42) / 2595) - 1)
    hz, width = np.arange(size // 2 + 1)[:, None] * rate / size, np.maximum(np.diff(edges), rate / size)
    return np.maximum(np.minimum((hz - edges[:-2]) / width[:-1], (edges[2:] - hz) / width[1:]), 0).astype(np.float32)


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
    pitched = np.maximum(power - 3 * median_filter(power, (1, 31)), 0)
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
