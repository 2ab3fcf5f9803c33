"""How a finished track fits its film, as it is heard: never as it was planned, and beside what chance would give.

docs/sound.md tells what each figure means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from worker.domain import Fit, Samples, Scene
from worker.pipeline.finish.hearing import hear
from worker.pipeline.finish.loudness import loudness_range, lufs, true_peak, weighted_power
from worker.pipeline.finish.onsets import PER_S, Curve, mono_of, onset_curve, rises, times_of

NEAR_S = 0.1
"""A beat that is not further away from a cut is on it."""
_AROUND_S = 0.5
"""As far from a hit a stroke is looked for."""
_STROKE, _WEAKER = 2.0, 1 / 3
"""A stroke's least rise, in deviations of the onset curve, and of the strongest one around."""
_SPREAD_S = 0.3
"""Of what happens at one moment, in the curves of picture and music."""
_CURVE_HZ = 10
_RARE = 95
"""Per cent of the ways to shift the music that a correlation has to leave behind."""


def fit(samples: Samples, rate: int, scenes: Sequence[Scene], hits_s: Sequence[float] = ()) -> Fit:
    """Of (channels, samples) and the film's scenes, from its first frame on."""
    rise = rises(mono_of(samples), rate)
    heard = hear(samples, rate, rise)
    curve = onset_curve(rise) if len(rise) else rise
    power = weighted_power(samples, rate)
    loudness_lufs, peak = lufs(power, rate), true_peak(samples, rate)
    cuts_s = [scene.start_s for scene in scenes[1:]]
    chance = min(1.0, 2 * NEAR_S * heard.bpm / 60) if heard.bpm else None
    on_beat = _met(cuts_s, heard.beats_s)
    follows, by_chance = followed(rise, scenes)
    return Fit(
        cuts=len(cuts_s),
        on_beat=on_beat,
        chance=chance,
        luck=_luck(len(cuts_s), on_beat, chance or 0.0),
        curve=follows,
        curve_chance=by_chance,
        hit_errors_s=tuple(_error_s(curve, rate, at_s) for at_s in hits_s),
        beats_s=heard.beats_s,
        bpm=heard.bpm,
        key=heard.key,
        loudness_lufs=loudness_lufs if math.isfinite(loudness_lufs) else None,
        lra_lu=loudness_range(power, rate),
        true_peak_db=20 * math.log10(peak) if peak > 0 else None,
    )


def _met(cuts_s: Sequence[float], beats_s: Sequence[float]) -> int:
    off_s = np.abs(np.subtract.outer(np.array(cuts_s), np.array(beats_s)))  # (cuts, beats)
    return int((off_s.min(axis=1) <= NEAR_S).sum()) if off_s.size else 0


def _luck(cuts: int, met: int, chance: float) -> float:
    """How likely chance alone meets as many cuts or more."""
    return sum(math.comb(cuts, n) * chance**n * (1 - chance) ** (cuts - n) for n in range(met, cuts + 1))


def _error_s(curve: Curve, rate: int, at_s: float) -> float | None:
    """How late the stroke is that means this moment: the nearest of those around that are not much weaker than the strongest."""
    times_s = times_of(np.arange(len(curve), dtype=np.float64), rate)
    around = np.where(np.abs(times_s - at_s) < _AROUND_S, curve, 0)
    strokes = np.flatnonzero(
        (around >= max(_STROKE, _WEAKER * around.max(initial=0))) & (curve == _highest_around(curve))
    )
    late_s = times_s[strokes] - at_s
    return float(late_s[np.abs(late_s).argmin()]) if len(strokes) else None


def _highest_around(curve: Curve) -> Curve:
    left, right = np.pad(curve, 1)[:-2], np.pad(curve, 1)[2:]
    return np.maximum(curve, np.maximum(left, right))


def followed(rise: Curve, scenes: Sequence[Scene]) -> tuple[float | None, float | None]:
    """How what happens in the music goes with what happens in the picture (Pearson's correlation), and what chance may give: music
    that is shifted against the film stays below that in 95 of 100 ways. None where either does nothing.
    """
    picture = events(scenes)
    times_s = np.arange(len(picture)) / _CURVE_HZ
    struck = gaussian_filter1d(rise, _SPREAD_S * PER_S) if len(rise) else np.zeros(1)
    music = np.interp(times_s, np.arange(len(struck)) / PER_S, struck)
    if len(picture) < 2 or min(picture.std(), music.std()) < 1e-6:
        return None, None
    picture, music = ((line - line.mean()) / line.std() for line in (picture, music))
    shifted = np.fft.irfft(np.fft.rfft(picture).conj() * np.fft.rfft(music), len(picture)) / len(picture)
    away = shifted[2 * math.ceil(_SPREAD_S * _CURVE_HZ) : 1 - 2 * math.ceil(_SPREAD_S * _CURVE_HZ)]
    return float(shifted[0]), float(np.percentile(away, _RARE)) if len(away) else 1.0


def events(scenes: Sequence[Scene]) -> npt.NDArray[np.float64]:
    """What happens in the picture, ten times a second: how much moves in each scene, and each cut."""
    count = round(scenes[-1].end_s * _CURVE_HZ) if scenes else 0
    times_s = np.arange(count) / _CURVE_HZ
    motion = np.array([scene.motion for scene in scenes])[
        np.searchsorted([scene.start_s for scene in scenes[1:]], times_s, side="right")
    ]
    cuts = sum(
        (np.exp(-0.5 * ((times_s - after.start_s) / _SPREAD_S) ** 2) for _, after in pairwise(scenes)),
        start=np.zeros(count),
    )
    return motion + cuts
