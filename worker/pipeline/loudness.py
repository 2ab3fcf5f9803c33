"""Loudness: ITU-R BS.1770 programme loudness, true peak, and a limiter that keeps it down."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from worker.domain import Samples

OVERSAMPLING = 4
_TAPS = 24
"""Taps per phase of the interpolator: twice what BS.1770 annex 2 uses."""
_CHUNK = 1 << 18


def integrated_lufs(samples: Samples, rate: int) -> float:
    """Integrated loudness with gating, LUFS; minus infinity for silence or less than 0.4 s."""
    from pyloudnorm import Meter

    if samples.shape[1] < round(0.4 * rate) + 1:
        return float("-inf")
    return float(Meter(rate).integrated_loudness(samples.T.astype(np.float64)))


def true_peak(samples: Samples) -> float:
    """The highest level between the samples too (4x oversampled, as BS.1770 annex 2 asks), full scale 1.0."""
    return float(peak_curve(samples).max(initial=0.0))


def peak_curve(samples: Samples) -> npt.NDArray[np.float32]:
    """True peak around each sample over all channels, (samples,)."""
    curve: npt.NDArray[np.float32] = np.abs(samples).max(axis=0, initial=0.0).astype(np.float32)
    for channel in samples:
        for phase in _phases():
            for first in range(0, len(channel), _CHUNK):
                stretch = channel[max(0, first - _TAPS) : first + _CHUNK + _TAPS]
                between = np.abs(np.convolve(stretch, phase, mode="same"))
                offset = min(first, _TAPS)
                part = between[offset : offset + min(_CHUNK, len(channel) - first)]
                np.maximum(curve[first : first + len(part)], part, out=curve[first : first + len(part)])
    return curve


@lru_cache(maxsize=1)
def _phases() -> tuple[npt.NDArray[np.float32], ...]:
    """Windowed sincs for a quarter, half and three quarters between two samples."""
    place = np.arange(_TAPS) - (_TAPS // 2 - 1)
    window = np.kaiser(_TAPS + 1, 7.0)
    phases = []
    for step in range(1, OVERSAMPLING):
        shift = step / OVERSAMPLING
        taper = np.interp(place - shift, np.arange(_TAPS + 1) - _TAPS / 2, window)
        taps = np.sinc(place - shift) * taper
        phases.append((taps / taps.sum()).astype(np.float32))
    return tuple(phases)


def limited(samples: Samples, peaks: npt.NDArray[np.float32], rate: int, ceiling: float) -> Samples:
    """Turn down only what would pass `ceiling`, 5 ms ahead of it, and let go over some 80 ms.

    The gain is the minimum over the look-ahead, smoothed by a window of the same length: it is always at or under what
    each peak needs, so nothing is clipped. `peaks` is the `peak_curve` of `samples`.
    """
    need = np.minimum(1.0, np.float32(ceiling) / np.maximum(peaks, np.float32(1e-9)))
    if need.min() >= 1.0:
        return samples
    ahead = max(1, round(0.005 * rate))
    held = _running_minimum(need, 2 * ahead + 1)
    released = _release(held, rate, 0.08)
    padded = np.pad(released, ahead, mode="edge")
    total = np.concatenate([[0.0], np.cumsum(padded, dtype=np.float64)])
    gain = (total[2 * ahead + 1 :] - total[: -2 * ahead - 1]) / (2 * ahead + 1)
    return np.asarray(samples * gain.astype(np.float32), dtype=np.float32)


def _running_minimum(values: npt.NDArray[np.float32], width: int) -> npt.NDArray[np.float32]:
    """Centred minimum over `width` (odd) values, by doubling: log2(width) passes."""
    half = width // 2
    result = np.pad(values, (half, half), constant_values=1.0)
    span = 1
    while span < width:
        step = min(span, width - span)
        result = np.minimum(result[:-step], result[step:])
        span += step
    return result


def _release(gain: npt.NDArray[np.float32], rate: int, seconds: float) -> npt.NDArray[np.float32]:
    """Follow falls at once, rises slowly: at most 1 dB per `seconds` / 6, on blocks of one millisecond."""
    block = max(1, rate // 1000)
    count = -(-len(gain) // block)
    lows = np.pad(gain, (0, count * block - len(gain)), constant_values=1.0).reshape(count, block).min(axis=1)
    climb_db = 6.0 / seconds * block / rate
    level_db = 20 * np.log10(np.maximum(lows, 1e-6))
    ramp = climb_db * np.arange(count)
    slow = 10 ** ((np.minimum.accumulate(level_db - ramp) + ramp) / 20)  # the lowest climbing line under the curve
    return np.asarray(np.minimum(gain, np.repeat(slow, block)[: len(gain)]).astype(np.float32), dtype=np.float32)
