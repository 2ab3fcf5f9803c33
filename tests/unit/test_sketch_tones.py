"""Instruments are in tune, end without a click, and answer to a firmer touch."""

import numpy as np
import pytest

from worker.engines.sketch.kit import SOUNDS
from worker.engines.sketch.patches import PATCHES
from worker.engines.sketch.tones import RATE


def cents_off(wave, hz):
    """Distance of the energy around `hz` (±70 cents) from it, by its centre of gravity."""
    mono = wave.mean(axis=0) if np.abs(wave.mean(axis=0)).max() > 0.05 * np.abs(wave).max() else wave[0]
    size = 1 << 19
    power = np.abs(np.fft.rfft(mono * np.hanning(len(mono)), size)) ** 2
    at_hz = np.fft.rfftfreq(size, 1 / RATE)
    inside = np.abs(1200 * np.log2(np.maximum(at_hz, 1) / hz)) < 70
    return 1200 * np.log2((power[inside] @ at_hz[inside]) / power[inside].sum() / hz)


@pytest.mark.parametrize("shift", [-7, 0, 9])
@pytest.mark.parametrize("name", PATCHES)
def test_instruments_are_in_tune(name, shift):
    """The fundamental lies within eight cents of the pitch asked for, below, at and above the centre of the range."""
    hz = 440 * 2 ** ((PATCHES[name].centre + shift - 69) / 12)
    assert abs(cents_off(PATCHES[name].tone(hz, 1.4, 0.75, 3), hz)) < 8


@pytest.mark.parametrize("name", PATCHES)
def test_tones_begin_and_end_softly(name):
    """A tone is stereo, finite, not too loud, and ends at zero: no click when it stops."""
    for length_s in (0.05, 0.8):
        wave = PATCHES[name].tone(220.0, length_s, 0.75, 1)
        assert wave.shape[0] == 2
        assert np.isfinite(wave).all()
        assert 0.05 < np.abs(wave).max() < 4
        assert np.abs(wave[:, -1]).max() < 0.01 * np.abs(wave).max()


@pytest.mark.parametrize("name", [name for name in PATCHES if name not in {"organ", "sub bass", "upright bass"}])
def test_a_firmer_touch_is_brighter(name):
    """The centre of gravity of the spectrum rises with velocity."""

    def brightness(velocity):
        power = np.abs(np.fft.rfft(PATCHES[name].tone(196.0, 0.6, velocity, 1)[0])) ** 2
        return power @ np.arange(len(power)) / power.sum()

    assert brightness(1.0) > brightness(0.25)


@pytest.mark.parametrize("sound", SOUNDS)
def test_drums_strike_and_fade(sound):
    """Every sound is finite, ends much quieter than it was, and differs from take to take or is a pure membrane."""
    make = SOUNDS[sound][0]
    one = make(np.random.default_rng(1))
    assert np.isfinite(one).all()
    assert 0.2 < np.abs(one).max() < 3
    tail = one[-len(one) // 50 :] if sound != "rise" else one[: len(one) // 50]
    assert np.abs(tail).max() < 0.1 * np.abs(one).max()
