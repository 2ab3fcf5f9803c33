"""Mastering: a raw track gets its exact length, fades, loudness and file."""

import math

import numpy as np

from worker.domain import Recording, Samples, Track
from worker.errors import WorkerError
from worker.pipeline.finish.audio_file import FORMATS, write
from worker.pipeline.finish.loudness import (
    PerMillisecond,
    estimated_lufs,
    integrated_lufs,
    limiting,
    peak_curve,
    true_peak,
    turned,
    weighted_energy,
)

TARGET_LUFS = -14.0
CEILING_DB = -1.0
SHORTEST_LOUD_S = 3.0
"""Shorter tracks are only kept under the ceiling: a gated loudness says nothing about them."""
SPARE_S = 0.1
"""An engine's own measurement of a track counts when no more than this was cut off it, and nothing was filled in."""
MOST_GAIN_DB = 30.0
SILENCE = 1e-4
PEAKS = 800


def master(track: Track, *, duration_s: float, format: str, tags: dict[str, str]) -> Recording:
    """Implements `worker.ports.Master`. The recording has round(duration_s * rate) samples, -14 LUFS, true peak under -1 dBTP.

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
    known_lufs = track.loudness_lufs if 0 <= samples.shape[1] - count <= SPARE_S * rate else None
    samples = np.pad(samples[:, :count], ((0, 0), (0, max(0, count - samples.shape[1]))))  # cut or filled with silence
    samples = _faded(samples - samples.mean(axis=1, keepdims=True), rate)
    loud, lufs = _loud(samples, rate, duration_s >= SHORTEST_LOUD_S, known_lufs)
    data = write(loud, rate, format, tags)
    return Recording(
        data=data,
        content_type=FORMATS[format].content_type,
        suffix=f".{format}",
        duration_s=loud.shape[1] / rate,
        peaks=_peaks(loud),
        loudness_lufs=round(lufs, 2) if math.isfinite(lufs) else None,
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


def _loud(samples: Samples, rate: int, to_target: bool, known_lufs: float | None) -> tuple[Samples, float]:
    """The samples with their loudness on target, and that loudness; silence stays silence.

    The gain is found on a thousand figures a second and then measured in full; what the estimate was off by is made up for.
    `known_lufs` is from before the fades: the search begins with it.
    """
    ceiling = 10 ** ((CEILING_DB - 0.1) / 20)
    if np.abs(samples).max(initial=0.0) < SILENCE:
        return samples, float("-inf")
    curve = peak_curve(samples, rate)
    if not to_target:
        result = _under(turned(samples, limiting(curve, ceiling), rate), rate, ceiling)
        return result, integrated_lufs(result, rate)
    energy = weighted_energy(samples, rate)
    gain_db = 0.0 if known_lufs is None else min(MOST_GAIN_DB, TARGET_LUFS - known_lufs)
    aim = TARGET_LUFS
    for _ in range(3):
        gain_db, gain = _found(curve, energy, ceiling, gain_db, aim)
        result = _under(turned(samples, gain, rate), rate, ceiling)
        lufs = integrated_lufs(result, rate)
        if not math.isfinite(lufs) or abs(TARGET_LUFS - lufs) < 0.1:
            break
        aim += TARGET_LUFS - lufs
    return result, lufs


def _found(
    curve: PerMillisecond, energy: PerMillisecond, ceiling: float, gain_db: float, aim_lufs: float
) -> tuple[float, PerMillisecond]:
    """Gain and limiter in turn, by estimate, until loudness is where it should be: the gain, and with the limiter's by milliseconds."""
    for _ in range(12):
        raised = np.float32(10 ** (gain_db / 20))
        gain = raised * limiting(curve * raised, ceiling)
        off = aim_lufs - estimated_lufs(energy, gain)
        if not math.isfinite(off) or abs(off) < 0.02 or gain_db + off > MOST_GAIN_DB == gain_db:
            break
        gain_db = min(MOST_GAIN_DB, gain_db + off)
    return gain_db, gain


def _under(samples: Samples, rate: int, ceiling: float) -> Samples:
    """A last even turn down, for the hair's breadth a changing gain may add between samples."""
    peak = true_peak(samples, rate)
    return samples if peak <= ceiling else (samples * np.float32(ceiling / peak)).astype(np.float32)


def _peaks(samples: Samples) -> tuple[float, ...]:
    count = samples.shape[1]
    edges = np.linspace(0, count, min(PEAKS, count), endpoint=False).astype(int)
    peaks = np.minimum(1.0, np.maximum.reduceat(np.abs(samples).max(axis=0), edges))
    return tuple(round(peak, 4) for peak in peaks.tolist())
