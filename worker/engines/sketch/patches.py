"""The instruments: each name of the vocabulary as a tone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from worker.engines.sketch.tones import (
    RATE,
    Tone,
    Wave,
    electric_piano,
    envelope,
    filtered_noise,
    formed,
    padsynth,
    plucked,
    struck,
    sung,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    tone: Tone
    centre: int
    """The MIDI pitch around which a melody sits well."""
    sustained: bool = False
    """Holds a tone as long as it is played: good for pads."""
    chordal: bool = True
    """Plays several tones at once."""
    release_s: float = 0.3


def _count(length_s: float, release_s: float) -> int:
    return max(64, int((length_s + release_s) * RATE))


def _ensemble(
    *, slope: float, cutoff_hz: float, width_cents: float, attack_s: float, release_s: float = 0.45,
    formants: tuple[tuple[float, float, float], ...] = (), harmonics: int = 40,
) -> Tone:  # fmt: skip
    def tone(hz: float, length_s: float, velocity: float, seed: int) -> Wave:
        count = _count(length_s, release_s)
        partials = formed(harmonics, hz, slope, cutoff_hz * (0.6 + 0.8 * velocity), formants)
        rise = min(attack_s, 0.35 * length_s + 0.01)
        return padsynth(hz, partials, width_cents, count, seed % 4) * envelope(count, rise, release_s)

    return tone


def _voice(
    *, slope: float, cutoff_hz: float, attack_s: float, vibrato_cents: float = 0.0, breath: float = 0.0, odd: bool = False,
    formants: tuple[tuple[float, float, float], ...] = (), detune_cents: tuple[float, ...] = (0.0,), release_s: float = 0.14,
    scoop_cents: float = 0.0, swell: float = 0.25, close_s: float = 0.0,
) -> Tone:  # fmt: skip
    def tone(hz: float, length_s: float, velocity: float, seed: int) -> Wave:
        count = _count(length_s, release_s)
        dark = formed(60, hz, slope + 0.5, 0.6 * cutoff_hz, formants)
        bright = formed(60, hz, slope, cutoff_hz * (0.6 + 0.8 * velocity), formants)
        if odd:
            dark[1::2] *= 0.12
            bright[1::2] *= 0.2
        gate = envelope(count, attack_s, release_s)
        opening = gate * (0.35 + 0.65 * velocity)
        if close_s:
            opening = opening * np.exp(-np.arange(count, dtype=np.float32) / (RATE * close_s))
        bow = gate * (1 - swell + swell * np.sin(np.linspace(0.3, np.pi - 0.4, count, dtype=np.float32)))
        wave = sung(
            hz, count, dark=dark, bright=bright, opening=opening, vibrato_cents=vibrato_cents,
            detune_cents=detune_cents, breath=breath, scoop_cents=scoop_cents, seed=seed,
        )  # fmt: skip
        return np.asarray(wave * bow, dtype=np.float32)

    return tone


def _bar(
    ratios: tuple[float, ...], levels: tuple[float, ...], decays_s: tuple[float, ...], release_s: float = 0.6
) -> Tone:
    def tone(hz: float, length_s: float, velocity: float, seed: int) -> Wave:
        stretch = min(1.6, max(0.35, (440 / hz) ** 0.5))
        longest = max(decays_s) * stretch * 4
        count = _count(min(max(length_s, 0.5 * longest), longest), release_s)
        tilt = np.array([level * (0.45 + 0.55 * velocity) ** index for index, level in enumerate(levels)], np.float32)
        wave = struck(
            hz, count, ratios=np.array(ratios, np.float32), amplitudes=tilt,
            decays_s=np.array(decays_s, np.float32) * stretch, chorus_cents=1.5, seed=seed,
        )  # fmt: skip
        return wave * envelope(count, 0.001, release_s)

    return tone


def _piano(hz: float, length_s: float, velocity: float, seed: int) -> Wave:
    release_s = 0.35
    longest = min(9.0, max(0.9, 7.0 * (110 / hz) ** 0.55))
    count = _count(min(length_s, longest), release_s)
    number = np.arange(1, max(3, min(30, int(0.4 * RATE / hz))) + 1, dtype=np.float32)
    stiffness = 0.00028 * (hz / 220) ** 1.1
    ratios = number * np.sqrt(1 + stiffness * number**2)
    colour = (0.5 + 0.5 * velocity) * 2600 / hz + 1.2
    levels = np.exp(-number / colour) * (0.25 + np.abs(np.sin(np.pi * number / 8.1))) / number**0.35
    decays = 2.4 * (110 / hz) ** 0.5 / (1 + 0.16 * number)
    early = struck(hz, count, ratios=ratios, amplitudes=levels, decays_s=0.28 * decays, chorus_cents=1.1, seed=seed)
    late = struck(
        hz,
        count,
        ratios=ratios,
        amplitudes=levels / (1 + 0.2 * number),
        decays_s=1.5 * decays,
        chorus_cents=-1.6,
        seed=seed,
    )
    wave = 0.55 * early + 0.6 * late
    knock = min(count, int(0.03 * RATE))
    thud = filtered_noise(knock, 120, 900 + 1800 * velocity, np.random.default_rng(seed)) * np.exp(
        -np.arange(knock) / (0.006 * RATE)
    )
    wave[:, :knock] += (0.1 * velocity * thud).astype(np.float32)
    return wave * envelope(count, 0.0015, release_s)


def _rhodes(hz: float, length_s: float, velocity: float, seed: int) -> Wave:
    count = _count(length_s, 0.25)
    return electric_piano(hz, count, velocity) * envelope(count, 0.003, 0.25)


def _string(
    *, brightness: float, decay_s: float, position: float = 0.18, release_s: float = 0.25, ring: bool = False
) -> Tone:
    def tone(hz: float, length_s: float, velocity: float, seed: int) -> Wave:
        held = max(length_s, 1.2) if ring else length_s
        count = _count(held, release_s)
        decay = decay_s * min(1.4, max(0.25, (196 / hz) ** 0.6))
        touch = brightness * (0.55 + 0.6 * velocity)
        wave = plucked(hz, count, brightness=min(1.0, touch), decay_s=decay, position=position, seed=seed)
        other = plucked(
            hz * 1.0006, count, brightness=min(1.0, touch), decay_s=decay, position=position + 0.05, seed=seed + 7
        )
        return (0.7 * wave + 0.3 * other * np.array([[1.0], [-0.4]], np.float32)) * envelope(count, 0.001, release_s)

    return tone


def _driven(hz: float, length_s: float, velocity: float, seed: int) -> Wave:
    """A string into an overdriven amplifier and its loudspeaker."""
    count = _count(length_s, 0.12)
    dry = plucked(hz, count, brightness=0.4 + 0.5 * velocity, decay_s=2.2, position=0.12, seed=seed)[0]
    held = np.tanh(9.0 * (0.5 + 0.5 * velocity) * dry + 0.15)
    size = 1 << (count - 1).bit_length()
    at_hz = np.fft.rfftfreq(size, 1 / RATE) + 1
    cabinet = (
        1
        / np.sqrt((1 + (95 / at_hz) ** 4) * (1 + (at_hz / 3600) ** 6))
        * (1 + 0.5 * np.exp(-(((at_hz - 2200) / 700) ** 2)))
    )
    wave = np.fft.irfft(np.fft.rfft(held, size) * cabinet)[:count].astype(np.float32)
    late = np.roll(wave, int(0.011 * RATE))
    return np.stack([wave, 0.5 * wave + 0.5 * late]) * envelope(count, 0.002, 0.12) * np.float32(0.6)


def _bass(
    *,
    slope: float,
    cutoff_hz: float,
    close_s: float,
    decay_s: float = 1.8,
    pick: float = 0.0,
    detune_cents: tuple[float, ...] = (0.0,),
) -> Tone:
    def tone(hz: float, length_s: float, velocity: float, seed: int) -> Wave:
        count = _count(length_s, 0.06)
        dark = formed(24, hz, slope + 0.9, 0.5 * cutoff_hz)
        bright = formed(40, hz, slope, cutoff_hz * (0.6 + 0.7 * velocity))
        opening = np.exp(-np.arange(count, dtype=np.float32) / (RATE * close_s))
        wave = sung(hz, count, dark=dark, bright=bright, opening=opening, detune_cents=detune_cents, seed=seed)
        wave = np.broadcast_to(wave.mean(axis=0), wave.shape).copy()  # lows stay in the middle
        if pick:
            snap = min(count, int(0.02 * RATE))
            noise = filtered_noise(snap, 700, 3000, np.random.default_rng(seed))
            wave[:, :snap] += (pick * velocity * noise * np.exp(-np.arange(snap) / (0.004 * RATE))).astype(np.float32)
        return wave * envelope(count, 0.004, 0.06, decay_s=decay_s, sustain=0.25)

    return tone


_BODY = ((480.0, 140.0, 1.2), (1200.0, 300.0, 0.6), (2900.0, 500.0, 0.8))
_AH = ((650.0, 110.0, 4.0), (1080.0, 120.0, 2.6), (2700.0, 250.0, 1.4))
_REED = ((520.0, 160.0, 1.4), (1500.0, 350.0, 1.0))
_HORN = ((600.0, 250.0, 1.0), (1300.0, 400.0, 0.6))

PATCHES: dict[str, Patch] = {
    "piano": Patch(tone=_piano, centre=72),
    "electric piano": Patch(tone=_rhodes, centre=69),
    "organ": Patch(tone=_ensemble(slope=0.9, cutoff_hz=1500, width_cents=2.5, attack_s=0.012, release_s=0.08, harmonics=9), centre=69, sustained=True),
    "acoustic guitar": Patch(tone=_string(brightness=0.62, decay_s=1.3, ring=True), centre=69),
    "electric guitar": Patch(tone=_driven, centre=67),
    "electric guitar clean": Patch(tone=_string(brightness=0.7, decay_s=1.1, position=0.1, release_s=0.06), centre=67),
    "nylon guitar": Patch(tone=_string(brightness=0.36, decay_s=0.9, position=0.3, ring=True), centre=67),
    "ukulele": Patch(tone=_string(brightness=0.5, decay_s=0.5, position=0.3), centre=74),
    "harp": Patch(tone=_string(brightness=0.34, decay_s=1.8, position=0.45, ring=True, release_s=0.6), centre=74),
    "strings": Patch(tone=_ensemble(slope=0.95, cutoff_hz=4200, width_cents=16, attack_s=0.14, formants=_BODY), centre=74, sustained=True),
    "violin": Patch(tone=_voice(slope=0.85, cutoff_hz=4200, attack_s=0.07, vibrato_cents=16, formants=_BODY, breath=0.012), centre=76, sustained=True, chordal=False),
    "cello": Patch(tone=_voice(slope=0.95, cutoff_hz=2100, attack_s=0.08, vibrato_cents=13, formants=((260.0, 90.0, 1.0), (600.0, 180.0, 0.8)), breath=0.012), centre=55, sustained=True, chordal=False),
    "brass": Patch(tone=_ensemble(slope=0.8, cutoff_hz=2700, width_cents=9, attack_s=0.06, release_s=0.16, formants=_HORN), centre=65, sustained=True),
    "trumpet": Patch(tone=_voice(slope=0.6, cutoff_hz=4600, attack_s=0.03, vibrato_cents=9, formants=_HORN, scoop_cents=40), centre=70, sustained=True, chordal=False),
    "saxophone": Patch(tone=_voice(slope=0.75, cutoff_hz=3900, attack_s=0.035, vibrato_cents=15, formants=_REED, breath=0.05, scoop_cents=60), centre=67, sustained=True, chordal=False),
    "flute": Patch(tone=_voice(slope=1.9, cutoff_hz=2600, attack_s=0.05, vibrato_cents=11, breath=0.07), centre=79, sustained=True, chordal=False),
    "clarinet": Patch(tone=_voice(slope=1.0, cutoff_hz=2400, attack_s=0.04, vibrato_cents=5, odd=True, formants=_REED, breath=0.02), centre=70, sustained=True, chordal=False),
    "choir": Patch(tone=_ensemble(slope=1.0, cutoff_hz=3000, width_cents=26, attack_s=0.28, release_s=0.7, formants=_AH), centre=69, sustained=True),
    "synth lead": Patch(tone=_voice(slope=0.85, cutoff_hz=5200, attack_s=0.012, vibrato_cents=9, detune_cents=(-8.0, 0.0, 9.0), release_s=0.18, swell=0.05), centre=72, sustained=True),
    "synth pad": Patch(tone=_ensemble(slope=1.05, cutoff_hz=2600, width_cents=30, attack_s=0.4, release_s=0.9), centre=67, sustained=True),
    "synth pluck": Patch(tone=_voice(slope=0.9, cutoff_hz=5500, attack_s=0.003, detune_cents=(-6.0, 7.0), release_s=0.2, swell=0.0, close_s=0.12), centre=72),
    "bells": Patch(tone=_bar((1, 2.0, 3.01, 4.16, 5.43, 6.79), (1, 0.55, 0.25, 0.3, 0.15, 0.1), (1.6, 1.0, 0.7, 0.45, 0.3, 0.2)), centre=84),
    "vibraphone": Patch(tone=_bar((1, 3.984, 10.67), (1, 0.22, 0.05), (1.8, 0.5, 0.15)), centre=74),
    "marimba": Patch(tone=_bar((1, 3.93, 9.6), (1, 0.35, 0.1), (0.32, 0.1, 0.04), release_s=0.1), centre=72),
    "kalimba": Patch(tone=_bar((1, 5.43, 2.0, 9.1), (1, 0.18, 0.12, 0.06), (0.7, 0.12, 0.4, 0.06), release_s=0.2), centre=74),
    "bass guitar": Patch(tone=_bass(slope=1.0, cutoff_hz=1400, close_s=0.25, pick=0.12), centre=38),
    "upright bass": Patch(tone=_bass(slope=1.25, cutoff_hz=650, close_s=0.14, decay_s=0.7, pick=0.08), centre=38),
    "synth bass": Patch(tone=_bass(slope=0.8, cutoff_hz=1700, close_s=0.13, detune_cents=(-5.0, 5.0)), centre=36),
    "sub bass": Patch(tone=_bass(slope=2.6, cutoff_hz=260, close_s=0.4, decay_s=2.5), centre=34),
}  # fmt: skip
