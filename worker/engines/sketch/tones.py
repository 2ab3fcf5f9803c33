"""Ways to make a tone. Each returns (2, n) or, where both sides are alike, (n,) at RATE, peak near 1, without any knowledge of music.

- `padsynth`: many players at once, by an inverse FFT of widened harmonics (Paul Nasca's PADsynth, 2005);
- `sung`: one sustained voice, a wavetable with vibrato that opens and closes;
- `struck`: decaying partials, for strings under hammers, bars and bells;
- `plucked`: a string after Karplus and Strong (1983), one period at a time.
"""

import itertools
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Wave = npt.NDArray[np.floating[Any]]
"""float32 wherever sound leaves a function; numpy's types lose that on the way."""

RATE = 44100
_TABLE = 2048
_PAD = 1 << 17
_BLOCK = 256
_TAU = 2 * np.pi


def time_axis(count: int) -> Wave:
    return np.arange(count, dtype=np.float32) / np.float32(RATE)


def panned(place: float) -> Wave:
    """Factors for left and right, (2, 1), of equal power wherever it stands: -1 is left, 1 is right."""
    angle = (place + 1) * np.pi / 4
    return np.array([[np.cos(angle)], [np.sin(angle)]], np.float32)


def fall(count: int, decay_s: float) -> Wave:
    """From 1 to 1/e in `decay_s` and on."""
    return np.exp(-time_axis(count) / decay_s)


def envelope(count: int, attack_s: float, release_s: float, decay_s: float = 0.0, sustain: float = 1.0) -> Wave:
    """Rise, optional exponential fall to `sustain`, and a release that ends at zero on the last sample."""
    t = time_axis(count)
    shape = np.ones(count, np.float32)
    if decay_s:
        shape = sustain + (1 - sustain) * np.exp(-np.maximum(t - attack_s, 0) / decay_s)
    rise = max(2, min(int(attack_s * RATE), count // 2))
    fall = max(2, min(int(release_s * RATE), count - rise))
    shape[:rise] *= np.sin(np.linspace(0, np.pi / 2, rise, dtype=np.float32)) ** 2
    shape[-fall:] *= np.cos(np.linspace(0, np.pi / 2, fall, dtype=np.float32)) ** 2
    return shape


def filtered_noise(count: int, low_hz: float, high_hz: float, rng: np.random.Generator, slope: float = 2.0) -> Wave:
    """Noise between two corner frequencies with gentle edges, (count,), unit peak."""
    size = 1 << max(4, (count - 1).bit_length())
    spectrum = np.fft.rfft(rng.standard_normal(size).astype(np.float32))
    hz = np.fft.rfftfreq(size, 1 / RATE).astype(np.float32) + 1.0
    spectrum *= 1 / np.sqrt((1 + (low_hz / hz) ** (2 * slope)) * (1 + (hz / high_hz) ** (2 * slope)))
    noise = np.fft.irfft(spectrum)[:count]
    return noise / (np.abs(noise).max() + 1e-9)


def padsynth(hz: float, partials: Wave, width_cents: float, count: int, seed: int) -> Wave:
    """An endless choir of `hz`: cut from a loop of three seconds, left and right with phases of their own."""
    loop = _pad_loop(round(hz, 3), partials.tobytes(), width_cents, seed % 2)
    start = int(np.random.default_rng(seed).integers(_PAD))
    return np.take(loop, np.arange(start, start + count), axis=1, mode="wrap")


@lru_cache(maxsize=48)
def _pad_loop(hz: float, partials: bytes, width_cents: float, seed: int) -> Wave:
    amplitudes = np.frombuffer(partials, np.float32)
    spectrum = np.zeros(_PAD // 2 + 1)
    bin_hz = RATE / _PAD
    for number, amplitude in enumerate(amplitudes, start=1):
        centre = number * hz
        if centre > 0.45 * RATE:
            break
        sigma = max((2 ** (width_cents / 1200) - 1) * centre, 0.6 * bin_hz)
        low, high = int((centre - 3 * sigma) / bin_hz), int((centre + 3 * sigma) / bin_hz) + 2
        low, high = max(low, 1), min(high, len(spectrum))
        bump = np.exp(-0.5 * ((np.arange(low, high) * bin_hz - centre) / sigma) ** 2)
        spectrum[low:high] += amplitude * bump / np.sqrt(np.sum(bump**2) + 1e-12)
    rng = np.random.default_rng(seed + 1)
    sounding = np.flatnonzero(spectrum)
    phases = np.float32(_TAU) * rng.random((2, len(sounding)), np.float32)
    scattered = np.zeros((2, len(spectrum)), np.complex64)
    scattered[:, sounding] = spectrum[sounding].astype(np.float32) * (np.cos(phases) + 1j * np.sin(phases))
    loop = np.fft.irfft(scattered, axis=1)
    return loop / (4 * loop.std())


def wavetable(partials: Wave, hz: float) -> Wave:
    """One period of the partials that fit under 0.45 of the rate, (2049,), unit RMS."""
    fitting = partials[: max(1, min(len(partials), int(0.45 * RATE / hz), _TABLE // 2 - 1))]
    spectrum = np.zeros(_TABLE // 2 + 1, np.complex128)
    spectrum[1 : len(fitting) + 1] = -1j * fitting
    table = np.fft.irfft(spectrum)
    table /= table.std() + 1e-12
    return np.append(table, table[0]).astype(np.float32)


def looked_up(tables: tuple[Wave, Wave], phase: npt.NDArray[np.float64], blend: Wave) -> Wave:
    """Look two waves up at `phase` (in periods), between two points linearly: the first where `blend` is 0, the second where it is 1."""
    place = (phase - np.floor(phase)) * _TABLE
    index = place.astype(np.int32)
    fraction = (place - index).astype(np.float32)
    first, second = (table.take(index) + fraction * np.diff(table).take(index, mode="clip") for table in tables)
    return first + blend * (second - first)


def sung(
    hz: float, count: int, *, dark: Wave, bright: Wave, opening: Wave, detune_cents: tuple[float, ...], seed: int,
    vibrato_cents: float = 0.0, breath: float = 0.0, scoop_cents: float = 0.0,
) -> Wave:  # fmt: skip
    """A sustained voice: `opening` (count,) 0..1 fades from the dark partials to the bright ones."""
    rng = np.random.default_rng(seed)
    t = time_axis(count)
    wobble = vibrato_cents * np.clip((t - 0.18) / 0.35, 0, 1) * np.sin(_TAU * 5.3 * t + rng.uniform(0, _TAU))
    bend = hz / RATE * 2.0 ** ((wobble - scoop_cents * np.exp(-t / 0.035)).astype(np.float64) / 1200)
    tables = wavetable(dark, hz), wavetable(bright, hz)
    out = np.zeros((2, count), np.float32)
    for number, cents in enumerate(detune_cents):
        wave = looked_up(tables, np.cumsum(bend * 2.0 ** (cents / 1200)) + rng.uniform(), opening)
        out += panned(0.0 if len(detune_cents) == 1 else 2 * number / (len(detune_cents) - 1) - 1) * wave
    if breath:
        out += breath * filtered_noise(count, min(hz * 1.5, 6000), 9000, rng)
    return out / (2.2 * max(1.0, len(detune_cents) ** 0.5))


def struck(
    hz: float, count: int, ratios: Wave, amplitudes: Wave, decays_s: Wave, *, chorus_cents: float, seed: int
) -> Wave:
    """Partials at `hz * ratios` that fall to 1/e in `decays_s`; two strings `chorus_cents` apart beat against each other.

    Amplitudes and decays are (partials,), or (stages, partials) where a tone falls fast at first and slowly then.
    """
    rng = np.random.default_rng(seed)
    shares = np.atleast_2d(amplitudes) / (float(np.sum(amplitudes)) + 1e-9)  # (stages, partials)
    heard = (hz * ratios <= 0.45 * RATE) & (shares.max(axis=0) >= 3e-4)
    partials_hz = hz * np.asarray(ratios, np.float64)[heard]
    second = np.where((partials_hz < 3000) & (chorus_cents != 0), 0.4, 0.0)
    each_hz = np.stack([partials_hz, partials_hz * 2 ** (chorus_cents / 1200)])  # (strings, partials)
    turns = np.exp(1j * rng.uniform(-0.6, 0.6, len(partials_hz))) * np.stack([1 - second, second])
    swings = 2j * np.pi * each_hz - 1 / np.atleast_2d(decays_s)[:, None, heard]  # (stages, strings, partials)
    sizes = turns * shares[:, None, heard]
    sides = np.broadcast_to(rng.uniform(-0.3, 0.3, len(partials_hz)), sizes.shape).ravel()
    # A decaying sine is a power: those of a block's start times those of a place in the block, for all partials in one product.
    rows = -(-count // _BLOCK)
    starts = sizes.reshape(-1, 1) * _powers(np.exp(swings.reshape(-1, 1) * (_BLOCK / RATE)), rows)  # (swings, rows)
    places = _powers(np.exp(swings.reshape(-1, 1) / RATE), _BLOCK)  # (swings, _BLOCK)
    both = np.concatenate([(1 - sides[:, None]) * starts, (1 + sides[:, None]) * starts], axis=1).T
    wave = np.hstack([both.imag, both.real]).astype(np.float32) @ np.vstack([places.real, places.imag]).astype(
        np.float32
    )
    return np.float32(1.6) * wave.reshape(2, -1)[:, :count]


def _powers(base: Any, count: int) -> Any:
    """base^0, base^1, ... of (n, 1), as (n, count)."""
    run = np.repeat(base, count, axis=1)
    run[:, 0] = 1
    return np.cumprod(run, axis=1)


def plucked(hz: float, count: int, brightness: float, decay_s: float, position: float, seed: int) -> Wave:
    """A string plucked at `position` of its length, (count,); `brightness` 0..1 is the pick, `decay_s` to 1/e at the fundamental."""
    rng = np.random.default_rng(seed)
    period = max(8, int(RATE / hz - 0.5))
    keep = np.float32(np.exp(-1 / (hz * decay_s)))
    blend = np.float32(0.5 - 0.32 * brightness)
    noise = rng.uniform(-1, 1, period).astype(np.float32)
    spectrum = np.fft.rfft(noise)
    number = np.arange(len(spectrum), dtype=np.float32)
    spectrum *= np.exp(-number * hz / (900 + 6500 * brightness**1.5)) * (
        0.15 + np.abs(np.sin(np.pi * number * position))
    )
    spectrum[0] = 0
    string = np.fft.irfft(spectrum, period).astype(np.float32)
    actual_hz = RATE / (period + float(blend))
    needed = int(count * hz / actual_hz) + period + 4
    out = np.empty((needed // period + 1, period), np.float32)
    out[0] = string
    for before, row in itertools.pairwise(out):
        np.multiply(before, keep * (1 - blend), out=row)
        late = keep * blend * before
        row[1:] += late[:-1]
        row[0] += late[-1]
    flat = out.reshape(-1)
    wave = np.interp(np.arange(count) * (hz / actual_hz), np.arange(len(flat)), flat).astype(np.float32)
    return wave / (np.abs(wave).max() + 1e-9)


def formed(
    count: int, hz: float, slope: float, cutoff_hz: float, formants: tuple[tuple[float, float, float], ...] = ()
) -> Wave:
    """Amplitudes of `count` harmonics: k^-slope under a soft cutoff, lifted at formants (centre Hz, width Hz, gain)."""
    number = np.arange(1, count + 1, dtype=np.float32)
    at_hz = number * hz
    shape = number**-slope / np.sqrt(1 + (at_hz / cutoff_hz) ** 4)
    lift = np.ones_like(shape)
    for centre, width, gain in formants:
        lift += gain * np.exp(-0.5 * ((at_hz - centre) / width) ** 2)
    return shape * lift


Tone = Callable[[float, float, float, int], Wave]
"""(pitch in Hz, sounding length in seconds, velocity 0..1, seed) -> (2, n), release included."""
