"""Strokes: how much louder each band of hearing becomes, moment by moment (spectral flux)."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.fft import rfft
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from worker.domain import Samples

PER_S = 200
"""Frames of the onset curve in a second."""
_LATE_S = 0.0085
"""A frame that has had this much of a stroke is the one in which the curve is highest."""

Curve = npt.NDArray[np.float32]


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
