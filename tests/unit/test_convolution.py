"""Waves behind long filters."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import oaconvolve

from worker.convolution import convolved

LENGTHS = st.integers(1, 60_000)


@settings(deadline=None, max_examples=20)
@given(samples=LENGTHS, taps=LENGTHS.map(lambda n: 1 + n // 4), seed=st.integers(0, 9))
def test_it_is_what_scipy_makes_of_it(samples, taps, seed):
    """Each channel behind its own response, cut to the wave's length."""
    rng = np.random.default_rng(seed)
    wave = rng.standard_normal((2, samples)).astype(np.float32)
    response = rng.standard_normal((2, taps)).astype(np.float32)
    expected = oaconvolve(wave, response, axes=1)[:, :samples]
    heard = convolved(wave, response)
    assert (heard.shape, heard.dtype) == (expected.shape, np.float32)
    assert np.abs(heard - expected).max() <= 1e-5 * np.abs(expected).max()
