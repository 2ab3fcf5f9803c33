"""Mastering: a raw track gets its exact length, fades, loudness and file, and is heard."""

import base64
import math
from collections.abc import Sequence

import numpy as np

from worker.domain import Hit, Recording, Samples, Scene, Track
from worker.errors import WorkerError
from worker.pipeline.finish.audio_file import FORMATS, LOSSY, write
from worker.pipeline.finish.loudness import (
    PerMoment,
    integrated_lufs,
    limiting,
    lufs,
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
) -> Recording:
    """Implements `worker.ports.Master`. The recording has round(duration_s * rate) samples, a true peak under -1 dBTP (-2 in a
    lossy format), and the loudness asked for or what can be had with `MOST_LIMITING_DB` and `MOST_GAIN_DB`: it says what it has.

    Raises WorkerError for samples that are not numbers, Rejected for an unknown format.
    """
    rate = track.sample_rate
    samples = np.atleast_2d(np.asarray(track.samples, dtype=np.float32))
    if not np.isfinite(samples).all():
        bad = int(np.count_nonzero(~np.isfinite(samples)))
        raise WorkerError(
            f"Track {track.index} has {bad} samples that are not numbers; the engine that made it is at fault.",
            code="bad_audio",
        )
    count = max(1, round(duration_s * rate))
    samples = np.pad(samples[:, :count], ((0, 0), (0, max(0, count - samples.shape[1]))))  # cut or filled with silence
    samples = _faded(samples - samples.mean(axis=1, keepdims=True), rate)
    loud, reached_lufs, peak = _loud(
        samples, rate,
        target_lufs=loudness_lufs if duration_s >= SHORTEST_LOUD_S else None, ceiling_db=LOSSY_CEILING_DB if format in LOSSY else CEILING_DB,
    )  # fmt: skip
    bpm, key, heard = track.bpm, track.key, None
    if scenes or bpm is None or key is None:
        # scipy's filters: the processes that master load them at their start.
        from worker.pipeline.finish.fit import fit

        heard = fit(loud, rate, scenes, [hit.at_s for hit in hits])
        bpm, key = bpm or heard.bpm, key or heard.key
    return Recording(
        data=write(loud, rate, format, tags),
        content_type=FORMATS[format].content_type,
        suffix=f".{format}",
        duration_s=loud.shape[1] / rate,
        peaks=_peaks(loud),
        loudness_lufs=round(reached_lufs, 2) if math.isfinite(reached_lufs) else None,
        true_peak_db=round(20 * math.log10(peak), 2) if peak > 0 else None,
        bpm=bpm,
        key=key,
        fit=heard if scenes else None,
    )


def _faded(samples: Samples, rate: int) -> Samples:
    """10 ms in; out over 15 % of the track, at most 1.5 s, along a cosine."""
    count = samples.shape[1]
    rise = min(count // 4, round(0.010 * rate))
    fall = min(count // 2, round(min(1.5, 0.15 * count / rate) * rate))
    gain = np.ones(count, np.float32)
    gain[:rise] = np.sin(np.linspace(0, np.pi / 2, rise, dtype=np.float32)) ** 2
    gain[count - fall :] *= np.cos(np.linspace(0, np.pi / 2, fall, dtype=np.float32)) ** 2
    return samples * gain


def _loud(samples: Samples, rate: int, *, target_lufs: float | None, ceiling_db: float) -> tuple[Samples, float, float]:
    """The samples as loud as they are to be, their loudness and their true peak; silence stays silence.

    What the limiter did is measured in full, and what the estimate was off by is made up for.
    """
    peaks, power, ceiling = peak_curve(samples, rate), weighted_power(samples, rate), 10 ** (ceiling_db / 20)
    peak, loudness_lufs = float(peaks.max()), lufs(power, rate)
    if np.abs(samples).max() < SILENCE:
        return samples, loudness_lufs, peak
    most_db = min(MOST_GAIN_DB, MOST_LIMITING_DB + ceiling_db - 20 * math.log10(peak))
    if target_lufs is None or not math.isfinite(loudness_lufs):
        most_db, target_lufs = min(0.0, most_db), math.inf
    aim_lufs = target_lufs
    for _ in range(3):
        gain_db, gain = _found(peaks, power, rate, ceiling, aim_lufs, most_db)
        result = turned(samples, gain, rate)
        if gain.min() == gain.max():
            return result, loudness_lufs + 20 * math.log10(gain[0]), peak * float(gain[0])
        reached_lufs, reached_peak = integrated_lufs(result, rate), true_peak(result, rate)
        if abs(target_lufs - reached_lufs) < 0.1 or gain_db == most_db:
            break
        aim_lufs += target_lufs - reached_lufs
    over = min(1.0, ceiling / reached_peak)  # a hair's breadth that a changing gain may add between samples
    return result * np.float32(over), reached_lufs + 20 * math.log10(over), reached_peak * over


def _found(
    peaks: PerMoment, power: PerMoment, rate: int, ceiling: float, aim_lufs: float, most_db: float
) -> tuple[float, PerMoment]:
    """Gain and limiter in turn, by estimate, until loudness is where it should be or the gain as high as it may be: the gain, and
    with the limiter's by moments."""
    gain_db = min(most_db, 0.0)
    for _ in range(12):
        raised = np.float32(10 ** (gain_db / 20))
        gain = raised * limiting(peaks * raised, ceiling)
        off = aim_lufs - lufs(power * np.square(gain, dtype=np.float64), rate)
        if abs(off) < 0.02 or gain_db + off >= most_db == gain_db:
            break
        gain_db = min(most_db, gain_db + off)
    return gain_db, gain


def _peaks(samples: Samples) -> str:
    count = samples.shape[1]
    edges = np.linspace(0, count, min(PEAKS, count), endpoint=False).astype(int)
    peaks = np.minimum(1.0, np.maximum.reduceat(np.abs(samples).max(axis=0), edges))
    return base64.b64encode(np.round(255 * peaks).astype(np.uint8).tobytes()).decode("ascii")
