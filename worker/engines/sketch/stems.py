"""Stems: a finished track taken apart into its players.

What the room, the pump and the tone make of a mix they make of each player alone: up to there stems are sums. All that comes after it,
the glue, the faders, the mastering with its fades and its limiter, is measured as one gain on the finished track, and every player gets
it. What is no gain, the soft knee within a third of a millisecond and the dither, is what remains.
"""

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter1d

from worker.domain import Anatomy, Clip, Options, Samples, Variant
from worker.engines.sketch.effects import dust, shaped, tone
from worker.engines.sketch.engine import score_of
from worker.engines.sketch.mixing import finished, gathered, heard
from worker.engines.sketch.score import Score
from worker.engines.sketch.tones import RATE, Wave

STEP = 14
"""Samples for each of which a gain is measured."""
LIKE_DB, REMAINS_DB = -60.0, -30.0
"""What is left of a track by the mix it was mastered from, at most, and by its stems."""
_AROUND, _LEAN = RATE // 50 // STEP, 0.02
"""Where a player is hardly heard, the gain is that of the 20 ms around."""


class Different(Exception):
    """What is composed is not what the track has."""


class SketchStems:
    """Implements `worker.ports.Stems`."""

    engine = "sketch"

    def of(self, clip: Clip, variant: Variant, options: Options, track: Samples) -> Anatomy | None:
        score = score_of(clip, variant, options)
        try:
            made = stems(score, track)
        except Different:
            return None
        midi: bytes | None = None
        with suppress(ModuleNotFoundError):  # of the extra nle
            from worker.engines.sketch.midi import midi as written

            midi = written(score, variant.direction.title)
        return Anatomy(bars_s=tuple(bar.start_s for bar in score.bars), sections=score.sections, midi=midi, stems=made)


def stems(score: Score, track: Samples) -> Iterator[tuple[str, Samples]]:
    """Each player's share of a mastered track (2, samples) by its name, made when it is asked for; the sum of all differs from it by
    less than `REMAINS_DB`.

    Raises Different, at once.
    """
    given = gathered(score, score.parts, score.hits, _go_on)
    noise = dust(given) if score.style.dust else np.zeros(1, np.float32)
    given += noise
    response = tone(given, score.style.tilt_db, score.style.low_db)
    line = shaped(given, response)
    mix = finished(line, score)
    if track.shape != mix.shape:
        raise Different(f"The track has {track.shape} samples, what is composed {mix.shape}")
    mix -= mix.mean(axis=1, keepdims=True)
    for wave, most_db in ((mix, LIKE_DB), (heard(line, score), REMAINS_DB)):
        gain = measured(track, wave)
        if (left_db := _level_db(track - wave * gain, track)) > most_db:
            raise Different(f"{left_db:.1f} dB of the track are not in what is composed")

    def each() -> Iterator[tuple[str, Wave]]:
        for part in score.parts:
            yield f"{part.role} {part.instrument}", gathered(score, [part], [], _go_on)
        if score.hits:
            yield "drums", gathered(score, [], score.hits, _go_on)
        if score.style.dust:
            yield "dust", np.broadcast_to(noise, line.shape)

    return ((name, heard(shaped(alone, response), score) * gain) for name, alone in each())


def _go_on() -> None:
    """Nobody waits for it to stop."""


def measured(track: Samples, wave: Wave) -> Samples:
    """The gain (2, samples) with which a wave comes nearest to the track, in straight lines from the middle of one step to the next."""
    count = track.shape[1]
    power = _summed(np.square(wave))
    usual = uniform_filter1d(power, _AROUND, axis=1) + 1e-12
    gain = uniform_filter1d(_summed(track * wave), _AROUND, axis=1) / usual
    for _ in range(3):  # lines between steps are not steps: what they miss is measured again
        left = track - wave * _lines(gain, count)
        gain += _summed(left * wave) / (power + _LEAN * usual)
    return _lines(gain, count)


def _summed(wave: Wave) -> npt.NDArray[np.float64]:
    """Of each step, (2, steps); the last one is filled up with silence."""
    return np.pad(wave, ((0, 0), (0, -wave.shape[1] % STEP))).reshape(2, -1, STEP).sum(axis=2, dtype=np.float64)


def _lines(gain: npt.NDArray[np.float64], count: int) -> Samples:
    middles = (np.arange(gain.shape[1]) + 0.5) * STEP - 0.5
    return np.stack([np.interp(np.arange(count), middles, side) for side in gain]).astype(np.float32)


def _level_db(wave: Wave, of: Wave) -> float:
    return float(10 * np.log10((np.square(wave).mean() + 1e-20) / (np.square(of).mean() + 1e-20)))
