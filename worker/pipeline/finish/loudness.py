"""Loudness: ITU-R BS.1770 programme loudness, true peak, and a limiter that keeps it down.

What is decided is decided by milliseconds: the peak and the weighted energy of each are found once, and every try at a gain is
arithmetic on some thousand of them. Samples are touched when the gain is known.
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from worker.domain import Samples

OVERSAMPLING = 4
_TAPS = 24
"""Taps per phase of the interpolator: twice what BS.1770 annex 2 uses."""
_FFT = 4096
_AHEAD_MS, _RELEASE_MS = 5, 80
_GATE_MS, _STEP_MS = 400, 100

PerMillisecond = npt.NDArray[np.float32]
"""A figure for each millisecond of a track, (milliseconds,); the last one may be short."""


def millisecond(rate: int) -> int:
    """Samples in one, rounded down."""
    return max(1, rate // 1000)


def integrated_lufs(samples: Samples, rate: int) -> float:
    """Integrated loudness with gating, LUFS; minus infinity for silence or less than 0.4 s."""
    from pyloudnorm import Meter

    if samples.shape[1] < round(0.4 * rate) + 1:
        return float("-inf")
    return float(Meter(rate).integrated_loudness(samples.T.astype(np.float64)))


def weighted_energy(samples: Samples, rate: int) -> PerMillisecond:
    """Mean square of each millisecond behind the K filter, all channels together."""
    from pyloudnorm.iirfilter import IIRfilter
    from scipy.signal import lfilter

    block = millisecond(rate)
    head = IIRfilter(4.0, 1 / math.sqrt(2), 1500.0, rate, "high_shelf")
    ear = IIRfilter(0.0, 0.5, 38.0, rate, "high_pass")
    weighted = lfilter(ear.b, ear.a, lfilter(head.b, head.a, samples))
    power = np.pad(np.square(weighted), ((0, 0), (0, -samples.shape[1] % block)))
    return power.reshape(len(samples), -1, block).mean(axis=2).sum(axis=0, dtype=np.float32)


def estimated_lufs(energy: PerMillisecond, gain: PerMillisecond) -> float:
    """Integrated loudness of what has this weighted energy, were it turned by this gain, to some hundredths of a LU; minus
    infinity for silence and for less than 0.4 s.
    """
    total = np.concatenate([[0.0], np.cumsum(energy * np.square(gain), dtype=np.float64)])
    gates = (total[_GATE_MS:] - total[:-_GATE_MS])[::_STEP_MS] / _GATE_MS
    gates = gates[gates >= 10 ** ((-70 + 0.691) / 10)]
    if not len(gates):
        return float("-inf")
    return float(10 * np.log10(gates[gates > gates.mean() / 10].mean()) - 0.691)


def true_peak(samples: Samples, rate: int = 44_100) -> float:
    """The highest level between the samples too (4x oversampled, as BS.1770 annex 2 asks), full scale 1.0."""
    return float(peak_curve(samples, rate).max(initial=0.0))


def peak_curve(samples: Samples, rate: int) -> PerMillisecond:
    """True peak of each millisecond over all channels."""
    block, count = millisecond(rate), samples.shape[1]
    hop = block * max(1, (_FFT - 2 * _TAPS) // block)
    size = max(_FFT, 1 << (hop + 2 * _TAPS - 1).bit_length())
    pieces = -(-count // hop)
    curve = np.zeros((pieces, hop // block), np.float32)
    filters = np.fft.rfft(_phases(), size)
    for channel in samples:
        padded = np.pad(channel, (_TAPS // 2, pieces * hop - count + _TAPS // 2))
        for i in range(pieces):  # outputs first..first + hop need the taps' reach on both sides
            piece = padded[i * hop : i * hop + hop + _TAPS]
            between = np.fft.irfft(np.fft.rfft(piece, size) * filters, size)[:, _TAPS - 1 : _TAPS - 1 + hop]
            highest = np.maximum(np.abs(between).max(axis=0), np.abs(piece[_TAPS // 2 : _TAPS // 2 + hop]))
            np.maximum(curve[i], highest.reshape(-1, block).max(axis=1), out=curve[i])
    return curve.reshape(-1)[: -(-count // block)]


@lru_cache(maxsize=1)
def _phases() -> npt.NDArray[np.float32]:
    """Windowed sincs for a quarter, half and three quarters between two samples, (3, taps)."""
    place = np.arange(_TAPS) - (_TAPS // 2 - 1)
    window = np.kaiser(_TAPS + 1, 7.0)
    late = place - np.arange(1, OVERSAMPLING)[:, None] / OVERSAMPLING
    taps = np.sinc(late) * np.interp(late, np.arange(_TAPS + 1) - _TAPS / 2, window)
    return (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)


def limiting(peaks: PerMillisecond, ceiling: float) -> PerMillisecond:
    """The gain that turns down only what would pass `ceiling`, 5 ms ahead of it, and lets go over some 80 ms.

    It is the minimum over the look-ahead, smoothed by a window of the same length: always at or under what each peak within a
    millisecond of it needs, so `turned` clips nothing between two of its values either.
    """
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    need = np.minimum(1.0, np.float32(ceiling) / np.maximum(peaks, np.float32(1e-9)))
    if need.min(initial=1.0) >= 1.0:
        return np.ones_like(peaks)
    held = minimum_filter1d(need, 2 * _AHEAD_MS + 3, mode="nearest")
    return uniform_filter1d(_release(held), 2 * _AHEAD_MS + 1, mode="nearest").astype(np.float32)


def _release(gain: PerMillisecond) -> npt.NDArray[np.float64]:
    """Follow falls at once, rises slowly: at most 6 dB in `_RELEASE_MS`."""
    ramp = 6.0 / _RELEASE_MS * np.arange(len(gain))
    level_db = 20 * np.log10(np.maximum(gain, 1e-6, dtype=np.float64))
    slow = np.minimum.accumulate(level_db - ramp) + ramp
    return 10 ** (slow / 20)  # the lowest climbing line under the curve


def turned(samples: Samples, gain: PerMillisecond, rate: int) -> Samples:
    """Samples times a gain that goes in straight lines from the middle of one millisecond to the next."""
    block = millisecond(rate)
    place = (np.arange(block, dtype=np.float32) + 0.5) / block - 0.5
    weights = np.stack([np.maximum(-place, 0), 1 - np.abs(place), np.maximum(place, 0)])  # (3, block)
    around = np.pad(gain, 1, mode="edge")
    lines = np.stack([around[:-2], gain, around[2:]], axis=1) @ weights  # (milliseconds, block)
    return np.asarray(samples * lines.reshape(-1)[: samples.shape[1]].astype(np.float32, copy=False), dtype=np.float32)
