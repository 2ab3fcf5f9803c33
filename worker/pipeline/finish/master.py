"""Mastering: a raw track gets its exact length, fades, loudness and file, and is heard."""

import base64
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from worker.domain import Hit, Recording, Samples, Scene, Steps, Track
from worker.pipeline.finish.audio_file import FORMATS, LOSSY, dithered, write
from worker.pipeline.finish.ends import shaped
from worker.pipeline.finish.loudness import (
    PerMoment,
    integrated_lufs,
    limiting,
    lufs,
    moment,
    peak_curve,
    true_peak,
    turned,
    weighted_power,
)

CEILING_DB = -1.1
"""A hair under the -1 dBTP that are promised."""
LOSSY_CEILING_DB = -2.1
"""A hair under -2 dBTP: decoders of what keeps not each sample add peaks of their own."""
MOST_LIMITING_DB = 6.0
"""A track whose peaks stand out further stays quieter than the target: flattened peaks are heard."""
MOST_GAIN_DB = 30.0
SHORTEST_LOUD_S = 3.0
"""Shorter tracks are only kept under the ceiling: a gated loudness says nothing about them."""
WRAPPED = 250
"""Moments around what loops: the limiter hears and lets go over less."""
SILENCE = 1e-4
PEAKS = 160
"""With them a result is about 1,000 bytes."""


def master(
    track: Track,
    *,
    duration_s: float,
    loudness_lufs: float,
    format: str,
    tags: dict[str, str],
    scenes: Sequence[Scene] = (),
    hits: Sequence[Hit] = (),
    loop: bool = False,
) -> Recording:
    """Implements `worker.ports.Master`. The recording has round(duration_s * rate) samples, a true peak under -1 dBTP (-2 in a
    lossy format), and the loudness asked for or what can be had with `MOST_LIMITING_DB` and `MOST_GAIN_DB`: it says what it has.

    Raises WorkerError for samples that are not numbers, Rejected for an unknown format.
    """
    rate = track.sample_rate
    loud = _loud(
        shaped(track, max(1, round(duration_s * rate)), loop=loop), rate,
        target_lufs=loudness_lufs if duration_s >= SHORTEST_LOUD_S else None, ceiling_db=ceiling_db(format), loop=loop,
    )  # fmt: skip
    return recorded(loud, dithered(loud.samples), track, format, tags, scenes, hits)


class Loud(NamedTuple):
    """Samples as loud as they are to be."""

    samples: Samples
    lufs: float
    peak: float
    """True peak, full scale is 1.0."""
    gain_db: float | None
    """By which they were raised before the limiter; None for silence."""


def ceiling_db(format: str) -> float:
    return LOSSY_CEILING_DB if format in LOSSY else CEILING_DB


def recorded(
    loud: Loud,
    steps: Steps,
    track: Track,
    format: str,
    tags: dict[str, str],
    scenes: Sequence[Scene],
    hits: Sequence[Hit],
) -> Recording:
    """The file that holds `steps`, which are the samples, in a lossy format with another one that keeps each of them; and how it is heard."""
    rate, bpm, key, heard = track.sample_rate, track.bpm, track.key, None
    if scenes or bpm is None or key is None:
        # scipy's filters: the processes that master load them at their start.
        from worker.pipeline.finish.fit import fit

        heard = fit(loud.samples, rate, scenes, [hit.at_s for hit in hits])
        bpm, key = bpm or heard.bpm, key or heard.key
    return Recording(
        data=write(steps, rate, format, tags),
        content_type=FORMATS[format].content_type,
        suffix=f".{format}",
        duration_s=steps.shape[1] / rate,
        peaks=_peaks(loud.samples),
        loudness_lufs=round(loud.lufs, 2) if math.isfinite(loud.lufs) else None,
        true_peak_db=round(20 * math.log10(loud.peak), 2) if loud.peak > 0 else None,
        bpm=bpm,
        key=key,
        fit=heard if scenes else None,
        gain_db=None if loud.gain_db is None else round(loud.gain_db, 3),
        master=write(steps, rate, "flac", tags) if format in LOSSY else None,
    )


def _loud(samples: Samples, rate: int, *, target_lufs: float | None, ceiling_db: float, loop: bool) -> Loud:
    """Silence stays silence. What the limiter did is measured in full, and what the estimate was off by is made up for.

    The limiter of what loops looks ahead over its end, and lets go over its beginning.
    """
    power, ceiling = weighted_power(samples, rate), 10 ** (ceiling_db / 20)
    around = WRAPPED if loop else 0  # moments
    edge = around * moment(rate)
    wrapped = np.pad(samples, ((0, 0), (edge, edge)), mode="wrap")
    peaks, inner = peak_curve(wrapped, rate), slice(around, around + len(power))
    peak, loudness_lufs = float(peaks.max()), lufs(power, rate)
    if np.abs(samples).max() < SILENCE:
        return Loud(samples, loudness_lufs, peak, None)
    most_db = min(MOST_GAIN_DB, MOST_LIMITING_DB + ceiling_db - 20 * math.log10(peak))
    if target_lufs is None or not math.isfinite(loudness_lufs):
        most_db, target_lufs = min(0.0, most_db), math.inf
    aim_lufs = target_lufs
    for _ in range(3):
        gain_db, gain = _found(peaks, power, inner, rate, ceiling, aim_lufs, most_db)
        turned_all = turned(wrapped, gain, rate)
        result = turned_all[:, edge : edge + samples.shape[1]]
        if gain.min() == gain.max():
            return Loud(result, loudness_lufs + gain_db, peak * float(gain[0]), gain_db)
        reached_lufs, reached_peak = integrated_lufs(result, rate), true_peak(turned_all, rate)
        if abs(target_lufs - reached_lufs) < 0.1 or gain_db == most_db:
            break
        aim_lufs += target_lufs - reached_lufs
    over_db = min(0.0, ceiling_db - 20 * math.log10(reached_peak))  # a changing gain may add a hair between samples
    over = np.float32(10 ** (over_db / 20))
    return Loud(result * over, reached_lufs + over_db, reached_peak * float(over), gain_db + over_db)


def _found(
    peaks: PerMoment, power: PerMoment, inner: slice, rate: int, ceiling: float, aim_lufs: float, most_db: float
) -> tuple[float, PerMoment]:
    """Gain and limiter in turn, by estimate, until loudness is where it should be or the gain as high as it may be: the gain, and
    with the limiter's by moments; of those the `inner` ones have the `power`."""
    gain_db = min(most_db, 0.0)
    for _ in range(12):
        raised = np.float32(10 ** (gain_db / 20))
        gain = raised * limiting(peaks * raised, ceiling)
        off = aim_lufs - lufs(power * np.square(gain[inner], dtype=np.float64), rate)
        if abs(off) < 0.02 or gain_db + off >= most_db == gain_db:
            break
        gain_db = min(most_db, gain_db + off)
    return gain_db, gain


def _peaks(samples: Samples) -> str:
    count = samples.shape[1]
    edges = np.linspace(0, count, min(PEAKS, count), endpoint=False).astype(int)
    peaks = np.minimum(1.0, np.maximum.reduceat(np.abs(samples).max(axis=0), edges))
    return base64.b64encode(np.round(255 * peaks).astype(np.uint8).tobytes()).decode("ascii")
