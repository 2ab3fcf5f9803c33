"""The instruments: each name of the vocabulary as a tone."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from worker.engines.sketch.tones import (
    RATE,
    Tone,
    Wave,
    envelope,
    fall,
    filtered_noise,
    formed,
    padsynth,
    plucked,
    struck,
    sung,
    time_axis,
)

Formants = tuple[tuple[float, float, float], ...]
_TAU = 2 * np.pi


@dataclass(frozen=True, slots=True)
class Patch:
    tone: Tone
    centre: int
    """The MIDI pitch around which a melody sits well."""
    sustained: bool = False
    """Holds a tone as long as it is played: good for pads."""
    chordal: bool = True
    """Plays several tones at once."""


def _count(length_s: float, release_s: float) -> int:
    return max(64, int((length_s + release_s) * RATE))


def _knock(wave: Wave, level: float, low_hz: float, high_hz: float, length_s: float, decay_s: float, seed: int) -> None:
    """Add the noise of a hammer or a pick to the beginning of a tone."""
    count = min(wave.shape[1], int(length_s * RATE))
    wave[:, :count] += (
        level * filtered_noise(count, low_hz, high_hz, np.random.default_rng(seed)) * fall(count, decay_s)
    )


def _ensemble(
    hz: float, length_s: float, velocity: float, seed: int, *, slope: float, cutoff_hz: float, width_cents: float,
    attack_s: float, release_s: float = 0.45, formants: Formants = (), harmonics: int = 40,
) -> Wave:  # fmt: skip
    count = _count(length_s, release_s)
    partials = formed(harmonics, hz, slope, cutoff_hz * (0.6 + 0.8 * velocity), formants)
    rise = min(attack_s, 0.35 * length_s + 0.01)
    return padsynth(hz, partials, width_cents, count, seed) * envelope(count, rise, release_s)


def _voice(
    hz: float, length_s: float, velocity: float, seed: int, *, slope: float, cutoff_hz: float, attack_s: float,
    release_s: float = 0.14, formants: Formants = (), odd: bool = False, vibrato_cents: float = 0.0, breath: float = 0.0,
    detune_cents: tuple[float, ...] = (0.0,), scoop_cents: float = 0.0, swell: float = 0.25, close_s: float = 0.0,
) -> Wave:  # fmt: skip
    count = _count(length_s, release_s)
    dark = formed(60, hz, slope + 0.5, 0.6 * cutoff_hz, formants)
    bright = formed(60, hz, slope, cutoff_hz * (0.6 + 0.8 * velocity), formants)
    if odd:
        dark[1::2] *= 0.12
        bright[1::2] *= 0.2
    gate = envelope(count, attack_s, release_s)
    opening = gate * (0.35 + 0.65 * velocity)
    if close_s:
        opening *= fall(count, close_s)
    bow = gate * (1 - swell + swell * np.sin(np.linspace(0.3, np.pi - 0.4, count, dtype=np.float32)))
    return bow * sung(
        hz, count, dark=dark, bright=bright, opening=opening, vibrato_cents=vibrato_cents,
        detune_cents=detune_cents, breath=breath, scoop_cents=scoop_cents, seed=seed,
    )  # fmt: skip


def _bar(
    hz: float, length_s: float, velocity: float, seed: int, *, ratios: tuple[float, ...], levels: tuple[float, ...],
    decays_s: tuple[float, ...], release_s: float = 0.6,
) -> Wave:  # fmt: skip
    stretch = min(1.6, max(0.35, (440 / hz) ** 0.5))
    longest = max(decays_s) * stretch * 4
    count = _count(min(max(length_s, 0.5 * longest), longest), release_s)
    amplitudes = np.array(levels, np.float32) * (0.45 + 0.55 * velocity) ** np.arange(len(levels), dtype=np.float32)
    decays = np.array(decays_s, np.float32) * stretch
    wave = struck(hz, count, np.array(ratios, np.float32), amplitudes, decays, chorus_cents=1.5, seed=seed)
    return wave * envelope(count, 0.001, release_s)


def _piano(hz: float, length_s: float, velocity: float, seed: int) -> Wave:
    release_s = 0.35
    longest = min(9.0, max(0.9, 7.0 * (110 / hz) ** 0.55))
    count = _count(min(length_s, longest), release_s)
    number = np.arange(1, max(3, min(30, int(0.4 * RATE / hz))) + 1, dtype=np.float32)
    stiffness = 0.00028 * (hz / 220) ** 1.1
    ratios = number * np.sqrt(1 + stiffness * number**2)
    colour = (0.5 + 0.5 * velocity) * 2600 / hz + 1.2
    levels = np.exp(-number / colour) * (0.25 + np.abs(np.sin(np.pi * number / 8.1))) / number**0.35
    decays_s = 2.4 * (110 / hz) ** 0.5 / (1 + 0.16 * number)
    late = levels / (1 + 0.2 * number)
    stages = np.stack([0.48 * levels / levels.sum(), 0.52 * late / late.sum()])
    falls_s = np.stack([0.28 * decays_s, 1.5 * decays_s])
    wave = 1.15 * struck(hz, count, ratios, stages, falls_s, chorus_cents=-1.6, seed=seed)
    _knock(wave, 0.1 * velocity, 120, 900 + 1800 * velocity, 0.03, 0.006, seed)
    return wave * envelope(count, 0.0015, release_s)


def _electric_piano(hz: float, length_s: float, velocity: float, seed: int) -> Wave:
    """Frequency modulation after Chowning (1973): a warm body, a bell that only a firm touch brings out, tremolo."""
    count = _count(length_s, 0.25)
    t = time_axis(count)
    index = (0.4 + 1.5 * velocity**1.5) * fall(count, 0.55) * min(1.0, 520 / hz)
    body = np.sin(_TAU * hz * t + index * np.sin(_TAU * hz * t)) * fall(count, max(0.4, 2.6 - hz / 700))
    bell = np.sin(_TAU * hz * t + 0.9 * fall(count, 0.09) * np.sin(_TAU * 13.98 * hz * t)) * fall(count, 0.25)
    wave = (0.8 * body + 0.22 * velocity * bell) * envelope(count, 0.003, 0.25)
    sway = 0.22 * np.sin(_TAU * 4.6 * t)
    return np.stack([wave * (1 + sway), wave * (1 - sway)])


def _string(
    hz: float, length_s: float, velocity: float, seed: int, *, brightness: float, decay_s: float, position: float = 0.18,
    release_s: float = 0.25, ring: bool = False,
) -> Wave:  # fmt: skip
    count = _count(max(length_s, 1.2) if ring else length_s, release_s)
    decay_s *= min(1.4, max(0.25, (196 / hz) ** 0.6))
    touch = min(1.0, brightness * (0.55 + 0.6 * velocity))
    wave = plucked(hz, count, touch, decay_s, position, seed)
    other = plucked(hz * 1.0006, count, touch, decay_s, position + 0.05, seed + 7)
    return (0.7 * wave + 0.3 * other * np.array([[1.0], [-0.4]], np.float32)) * envelope(count, 0.001, release_s)


def _driven(hz: float, length_s: float, velocity: float, seed: int) -> Wave:
    """A string into an overdriven amplifier and its loudspeaker."""
    count = _count(length_s, 0.12)
    dry = plucked(hz, count, 0.4 + 0.5 * velocity, 2.2, 0.12, seed)
    held = np.tanh(9.0 * (0.5 + 0.5 * velocity) * dry + 0.15)
    size = 1 << (count - 1).bit_length()
    at_hz = np.fft.rfftfreq(size, 1 / RATE) + 1
    cabinet = 1 / np.sqrt((1 + (95 / at_hz) ** 4) * (1 + (at_hz / 3600) ** 6))
    cabinet *= 1 + 0.5 * np.exp(-(((at_hz - 2200) / 700) ** 2))
    wave = np.fft.irfft(np.fft.rfft(held, size) * cabinet)[:count].astype(np.float32)
    late = np.roll(wave, int(0.011 * RATE))
    return np.stack([wave, 0.5 * wave + 0.5 * late]) * envelope(count, 0.002, 0.12) * 0.6


def _bass(
    hz: float, length_s: float, velocity: float, seed: int, *, slope: float, cutoff_hz: float, close_s: float,
    decay_s: float = 1.8, pick: float = 0.0, detune_cents: tuple[float, ...] = (0.0,),
) -> Wave:  # fmt: skip
    count = _count(length_s, 0.06)
    dark = formed(24, hz, slope + 0.9, 0.5 * cutoff_hz)
    bright = formed(40, hz, slope, cutoff_hz * (0.6 + 0.7 * velocity))
    opening = fall(count, close_s)
    wave = sung(hz, count, dark=dark, bright=bright, opening=opening, detune_cents=detune_cents, seed=seed)
    wave = np.repeat(wave.mean(axis=0, keepdims=True), 2, axis=0)  # lows stay in the middle
    if pick:
        _knock(wave, pick * velocity, 700, 3000, 0.02, 0.004, seed)
    return wave * envelope(count, 0.004, 0.06, decay_s=decay_s, sustain=0.25)


_BODY = ((480.0, 140.0, 1.2), (1200.0, 300.0, 0.6), (2900.0, 500.0, 0.8))
_AH = ((650.0, 110.0, 4.0), (1080.0, 120.0, 2.6), (2700.0, 250.0, 1.4))
_REED = ((520.0, 160.0, 1.4), (1500.0, 350.0, 1.0))
_HORN = ((600.0, 250.0, 1.0), (1300.0, 400.0, 0.6))

PATCHES: dict[str, Patch] = {
    "piano": Patch(_piano, 72),
    "electric piano": Patch(_electric_piano, 69),
    "organ": Patch(partial(_ensemble, slope=0.9, cutoff_hz=1500, width_cents=2.5, attack_s=0.012, release_s=0.08, harmonics=9), 69, sustained=True),
    "acoustic guitar": Patch(partial(_string, brightness=0.62, decay_s=1.3, ring=True), 69),
    "electric guitar": Patch(_driven, 67),
    "electric guitar clean": Patch(partial(_string, brightness=0.7, decay_s=1.1, position=0.1, release_s=0.06), 67),
    "nylon guitar": Patch(partial(_string, brightness=0.36, decay_s=0.9, position=0.3, ring=True), 67),
    "ukulele": Patch(partial(_string, brightness=0.5, decay_s=0.5, position=0.3), 74),
    "harp": Patch(partial(_string, brightness=0.34, decay_s=1.8, position=0.45, ring=True, release_s=0.6), 74),
    "strings": Patch(partial(_ensemble, slope=0.95, cutoff_hz=4200, width_cents=16, attack_s=0.14, formants=_BODY), 74, sustained=True),
    "violin": Patch(partial(_voice, slope=0.85, cutoff_hz=4200, attack_s=0.07, vibrato_cents=16, formants=_BODY, breath=0.012), 76, sustained=True, chordal=False),
    "cello": Patch(partial(_voice, slope=0.95, cutoff_hz=2100, attack_s=0.08, vibrato_cents=13, formants=((260.0, 90.0, 1.0), (600.0, 180.0, 0.8)), breath=0.012), 55, sustained=True, chordal=False),
    "brass": Patch(partial(_ensemble, slope=0.8, cutoff_hz=2700, width_cents=9, attack_s=0.06, release_s=0.16, formants=_HORN), 65, sustained=True),
    "trumpet": Patch(partial(_voice, slope=0.6, cutoff_hz=4600, attack_s=0.03, vibrato_cents=9, formants=_HORN, scoop_cents=40), 70, sustained=True, chordal=False),
    "saxophone": Patch(partial(_voice, slope=0.75, cutoff_hz=3900, attack_s=0.035, vibrato_cents=15, formants=_REED, breath=0.05, scoop_cents=60), 67, sustained=True, chordal=False),
    "flute": Patch(partial(_voice, slope=1.9, cutoff_hz=2600, attack_s=0.05, vibrato_cents=11, breath=0.07), 79, sustained=True, chordal=False),
    "clarinet": Patch(partial(_voice, slope=1.0, cutoff_hz=2400, attack_s=0.04, vibrato_cents=5, odd=True, formants=_REED, breath=0.02), 70, sustained=True, chordal=False),
    "choir": Patch(partial(_ensemble, slope=1.0, cutoff_hz=3000, width_cents=26, attack_s=0.28, release_s=0.7, formants=_AH), 69, sustained=True),
    "synth lead": Patch(partial(_voice, slope=0.85, cutoff_hz=5200, attack_s=0.012, vibrato_cents=9, detune_cents=(-8.0, 0.0, 9.0), release_s=0.18, swell=0.05), 72, sustained=True),
    "synth pad": Patch(partial(_ensemble, slope=1.05, cutoff_hz=2600, width_cents=30, attack_s=0.4, release_s=0.9), 67, sustained=True),
    "synth pluck": Patch(partial(_voice, slope=0.9, cutoff_hz=5500, attack_s=0.003, detune_cents=(-6.0, 7.0), release_s=0.2, swell=0.0, close_s=0.12), 72),
    "bells": Patch(partial(_bar, ratios=(1, 2.0, 3.01, 4.16, 5.43, 6.79), levels=(1, 0.55, 0.25, 0.3, 0.15, 0.1), decays_s=(1.6, 1.0, 0.7, 0.45, 0.3, 0.2)), 84),
    "vibraphone": Patch(partial(_bar, ratios=(1, 3.984, 10.67), levels=(1, 0.22, 0.05), decays_s=(1.8, 0.5, 0.15)), 74),
    "marimba": Patch(partial(_bar, ratios=(1, 3.93, 9.6), levels=(1, 0.35, 0.1), decays_s=(0.32, 0.1, 0.04), release_s=0.1), 72),
    "kalimba": Patch(partial(_bar, ratios=(1, 5.43, 2.0, 9.1), levels=(1, 0.18, 0.12, 0.06), decays_s=(0.7, 0.12, 0.4, 0.06), release_s=0.2), 74),
    "bass guitar": Patch(partial(_bass, slope=1.0, cutoff_hz=1400, close_s=0.25, pick=0.12), 38),
    "upright bass": Patch(partial(_bass, slope=1.25, cutoff_hz=650, close_s=0.14, decay_s=0.7, pick=0.08), 38),
    "synth bass": Patch(partial(_bass, slope=0.8, cutoff_hz=1700, close_s=0.13, detune_cents=(-5.0, 5.0)), 36),
    "sub bass": Patch(partial(_bass, slope=2.6, cutoff_hz=260, close_s=0.4, decay_s=2.5), 34),
}  # fmt: skip
