"""Waves behind long filters. scipy.signal would do it, too: its import takes a second of each worker's start, and it takes longer."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft

Wave = npt.NDArray[np.floating[Any]]
_LEAST = 2**15
"""Samples of a block."""


def convolved(wave: Wave, response: Wave) -> Wave:
    """What a filter with this response to a click makes of a wave, (..., n) with (..., taps): as long as the wave, and of its kind."""
    reach = response.shape[-1] - 1
    size = next_fast_len(max(_LEAST, 4 * reach), real=True)
    step = size - reach
    count = -(-wave.shape[-1] // step)
    padded = np.pad(wave, [(0, 0)] * (wave.ndim - 1) + [(reach, count * step - wave.shape[-1])])
    blocks = np.lib.stride_tricks.sliding_window_view(padded, size, axis=-1)[..., ::step, :]
    spectra = rfft(blocks)
    spectra *= rfft(response, size)[..., None, :]
    heard: Wave = irfft(spectra, size, overwrite_x=True)[..., reach:]
    return heard.reshape(*heard.shape[:-2], -1)[..., : wave.shape[-1]]
