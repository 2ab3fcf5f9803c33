"""Loudness: ITU-R BS.1770 programme loudness, true peak, and a limiter that keeps it down.

What is decided is decided by moments of at most a millisecond: the peak and the weighted power of each are found once, and every
try at a gain is arithmetic on some thousand of them a second. Samples are touched when the gain is known.
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from worker.convolution import convolved
from worker.domain import Samples

OVERSAMPLING = 4
_TAPS = 24
"""Taps per phase of the interpolator: twice what BS.1770 annex 2 uses."""
_ROWS = 512
"""Moments that are interpolated at once: what they need stays in the cache."""
_AHEAD, _RELEASE = 5, 80
"""Of the limiter, in moments."""
_QUIETEST, _QUIETER = 10 ** ((-70 + 0.691) / 10), 0.1
"""The gates: the power of -70 LUFS, and of 10 LU under the mean."""

PerMoment = npt.NDArray[np.floating]
"""A figure for each moment of a track, (moments,); the last one may be short."""


def moment(rate: int) -> int:
    """Samples in one: the most that divide the tenth of a second by which loudness goes, a millisecond at most."""
    return max(length for length in range(1, max(2, rate // 1000 + 1)) if _tenth(rate) % length == 0)


def _tenth(rate: int) -> int:
    return round(rate / 10)


def integrated_lufs(samples: Samples, rate: int) -> float:
    """Integrated loudness with gating, LUFS; minus infinity for silence or less than 0.4 s."""
    return lufs(weighted_power(samples, rate), rate)


def weighted_power(samples: Samples, rate: int) -> PerMoment:
    """Mean square of each moment behind the K filter, all channels together."""
    length = moment(rate)
    power = np.zeros(-(-samples.shape[1] // length))
    for channel in samples:
        heard = np.pad(np.square(convolved(channel.astype(np.float64), _k_filter(rate))), (0, -len(channel) % length))
        power += heard.reshape(-1, length).mean(axis=1)
    return power


@lru_cache(maxsize=4)
def _k_filter(rate: int) -> npt.NDArray[np.float64]:
    """The response of BS.1770's two filters to a click, until nothing of it is left: a shelf of +4 dB from 1500 Hz for the head,
    a high pass at 38 Hz for the ear (the biquads of the Audio EQ Cookbook, as pyloudnorm has them for any rate).
    """
    size = 2 ** math.ceil(math.log2(rate))
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)  # z to the power of -1, around the unit circle
    gain, head, ear = 10 ** (4.0 / 40), 2 * np.pi * 1500.0 / rate, 2 * np.pi * 38.0 / rate
    cos, root = np.cos(head), 2 * np.sqrt(gain) * np.sin(head) / np.sqrt(2)
    over = [
        (gain + 1) + (gain - 1) * cos + root,
        -2 * ((gain - 1) + (gain + 1) * cos),
        (gain + 1) + (gain - 1) * cos - root,
    ]
    under = [
        (gain + 1) - (gain - 1) * cos + root,
        2 * ((gain - 1) - (gain + 1) * cos),
        (gain + 1) - (gain - 1) * cos - root,
    ]
    shelf = gain * np.polyval(over[::-1], z) / np.polyval(under[::-1], z)
    high_pass = (
        (1 + np.cos(ear)) / 2 * (1 - z) ** 2 / np.polyval([1 - np.sin(ear), -2 * np.cos(ear), 1 + np.sin(ear)], z)
    )
    return np.fft.irfft(shelf * high_pass, size)[: round(0.12 * rate)]


def lufs(power: PerMoment, rate: int) -> float:
    """Integrated loudness of what has this weighted power: blocks of 0.4 s, one each 0.1 s, the last filled up with silence where
    half of its step is there. Minus infinity for silence and for less than 0.4 s.
    """
    blocks = _blocks(power, rate, 4)
    blocks = blocks[blocks >= _QUIETEST]
    if not len(blocks):
        return float("-inf")
    return float(10 * np.log10(blocks[blocks > _QUIETER * blocks.mean()].mean()) - 0.691)


def loudness_range(power: PerMoment, rate: int) -> float | None:
    """LRA in LU after EBU Tech 3342, of what has this weighted power: from its quiet parts (the 10th percentile of 3 s, one each 0.1 s)
    to its loud ones (the 95th). None for silence and for less than 3 s.
    """
    blocks = _blocks(power, rate, 30)
    blocks = blocks[blocks >= _QUIETEST]
    if not len(blocks):
        return None
    low, high = np.percentile(10 * np.log10(blocks[blocks >= _QUIETER**2 * blocks.mean()]), (10, 95))
    return float(high - low)


def _blocks(power: PerMoment, rate: int, tenths: int) -> PerMoment:
    """Mean power of blocks of so many tenths of a second, one each tenth; none where there is less than one."""
    step = _tenth(rate) // moment(rate)
    if len(power) < tenths * step:
        return np.zeros(0)
    count = round(len(power) / step) - tenths + 1
    total = np.cumsum(np.pad(power, (1, step)), dtype=np.float64)[: (count + tenths - 1) * step + 1 : step]
    return (total[tenths:] - total[:-tenths]) / (tenths * step)


def true_peak(samples: Samples, rate: int = 44_100) -> float:
    """The highest level between the samples too (4x oversampled, as BS.1770 annex 2 asks), full scale 1.0."""
    return float(peak_curve(samples, rate).max(initial=0.0))


def peak_curve(samples: Samples, rate: int) -> PerMoment:
    """True peak of each moment over all channels."""
    length = moment(rate)
    count, filters, middle = (
        -(-samples.shape[1] // length),
        _interpolation(length),
        slice(_TAPS // 2, _TAPS // 2 + length),
    )
    curve = np.zeros(count, np.float32)
    for channel in samples:
        around = np.pad(channel, (_TAPS // 2, count * length - len(channel) + _TAPS // 2 - 1))
        windows = np.lib.stride_tricks.sliding_window_view(around, length + _TAPS - 1)[
            ::length
        ]  # each moment and the taps' reach
        for first in range(0, count, _ROWS):
            given = np.ascontiguousarray(windows[first : first + _ROWS])
            part = curve[first : first + _ROWS]
            for level in (given[:, middle], given @ filters):
                np.maximum(part, np.maximum(level.max(axis=1), -level.min(axis=1)), out=part)
    return curve


@lru_cache(maxsize=4)
def _interpolation(length: int) -> npt.NDArray[np.float32]:
    """Windowed sincs for a quarter, half and three quarters between two samples, as a matrix: (length + taps - 1, 3 * length)."""
    place = np.arange(_TAPS) - (_TAPS // 2 - 1)
    window = np.kaiser(_TAPS + 1, 7.0)
    late = np.arange(1, OVERSAMPLING)[:, None] / OVERSAMPLING - place
    taps = np.sinc(late) * np.interp(late, np.arange(_TAPS + 1) - _TAPS / 2, window)
    taps /= taps.sum(axis=1, keepdims=True)
    matrix = np.zeros((length + _TAPS - 1, OVERSAMPLING - 1, length), np.float32)
    for i in range(length):
        matrix[i : i + _TAPS, :, i] = taps.T
    return matrix.reshape(len(matrix), -1)


def limiting(peaks: PerMoment, ceiling: float) -> PerMoment:
    """The gain that turns down only what would pass `ceiling`, 5 ms ahead of it, and lets go over some 80 ms.

    It is the minimum over the look-ahead, smoothed by a window of the same length: always at or under what each peak within a
    moment of it needs, so `turned` clips nothing between two of its values either.
    """
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    need = np.minimum(1.0, np.float32(ceiling) / np.maximum(peaks, np.float32(1e-9)))
    if need.min(initial=1.0) >= 1.0:
        return np.ones_like(peaks)
    held = minimum_filter1d(need, 2 * _AHEAD + 3, mode="nearest")
    return uniform_filter1d(_release(held), 2 * _AHEAD + 1, mode="nearest").astype(np.float32)


def _release(gain: PerMoment) -> npt.NDArray[np.float64]:
    """Follow falls at once, rises slowly: at most 6 dB in `_RELEASE`."""
    ramp = 6.0 / _RELEASE * np.arange(len(gain))
    level_db = 20 * np.log10(np.maximum(gain, 1e-6, dtype=np.float64))
    slow = np.minimum.accumulate(level_db - ramp) + ramp
    return 10 ** (slow / 20)  # the lowest climbing line under the curve


def turned(samples: Samples, gain: PerMoment, rate: int) -> Samples:
    """Samples times a gain that goes in straight lines from the middle of one moment to the next."""
    length = moment(rate)
    place = (np.arange(length, dtype=np.float32) + 0.5) / length - 0.5
    weights = np.stack([np.maximum(-place, 0), 1 - np.abs(place), np.maximum(place, 0)])  # (3, length)
    around = np.pad(gain, 1, mode="edge")
    lines = np.stack([around[:-2], gain, around[2:]], axis=1) @ weights  # (moments, length)
    return np.asarray(samples * lines.reshape(-1)[: samples.shape[1]].astype(np.float32, copy=False), dtype=np.float32)
