"""How a track begins and ends: at exactly its length, without clicks, dying away or meeting itself."""

import numpy as np

from worker.domain import LOOP_S, Samples, Track
from worker.errors import WorkerError
from worker.pipeline.finish.crossfade import alike, crossfade

_SHORT_S, _LONG_S, _SHARE = 0.010, 1.5, 0.15
_LAST_S = 0.050
_GONE = 10 ** (-40 / 10)
"""Power of what dies away by itself, against that of what was before its last 1.5 s."""


def shaped(track: Track, count: int, *, loop: bool) -> Samples:
    """A track's samples, (channels, count), without an offset. Raises WorkerError for samples that are not numbers."""
    samples = np.atleast_2d(np.asarray(track.samples, dtype=np.float32))
    if not np.isfinite(samples).all():
        bad = int(np.count_nonzero(~np.isfinite(samples)))
        raise WorkerError(
            f"Track {track.index} has {bad} samples that are not numbers; the engine that made it is at fault.",
            code="bad_audio",
        )
    if loop and not track.loops:
        samples = _looped(samples, count, round(LOOP_S * track.sample_rate))
    samples = samples[:, :count]
    samples = samples - samples.mean(axis=1, keepdims=True)
    silence = (0, 0), (0, count - samples.shape[1])
    if track.mended:  # it leads out into another track, and does not end where its samples do
        samples, silence = np.pad(samples, silence), ((0, 0), (0, 0))
    if not loop:
        samples = _faded(samples, track.sample_rate)
    return np.pad(samples, silence)  # what an engine left out is silence


def _looped(samples: Samples, count: int, length: int) -> Samples:
    """What comes behind the end of the film fades out over the beginning, which thereby goes on from the end."""
    length = min(length, count, samples.shape[1] - count)
    if length <= 0:
        return samples
    behind, first = samples[:, count : count + length], samples[:, :length]
    return np.concatenate([crossfade(behind, first, alike(behind, first)), samples[:, length:count]], axis=1)


def _faded(samples: Samples, rate: int) -> Samples:
    """10 ms in and, where it has died away by itself, 10 ms out; else out over 15 % of the track, at most 1.5 s, along a cosine."""
    count = samples.shape[1]
    rise = min(count // 4, round(_SHORT_S * rate))
    fall = min(count // 2, round(min(_LONG_S, _SHARE * count / rate) * rate))
    if _dies_away(samples, rate):
        fall = rise
    gain = np.ones(count, np.float32)
    gain[:rise] = np.sin(np.linspace(0, np.pi / 2, rise, dtype=np.float32)) ** 2
    gain[count - fall :] *= np.cos(np.linspace(0, np.pi / 2, fall, dtype=np.float32)) ** 2
    return samples * gain


def _dies_away(samples: Samples, rate: int) -> bool:
    """Whether the last moment is silent beside what was before the last 1.5 s, or before the last half of a short track."""
    count = samples.shape[1]
    before, last = samples[:, : -min(round(_LONG_S * rate), count // 2 or 1)], samples[:, -round(_LAST_S * rate) :]
    return before.size > 0 and bool((last**2).mean() <= _GONE * (before**2).mean())
