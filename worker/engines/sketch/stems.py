"""Stems: a finished track taken apart into its players.

What the room, the pump and the tone make of a mix they make of each player alone: up to there stems are sums. All that comes after it,
the glue, the faders, the mastering with its fades and its limiter, is measured as one gain on the finished track, and every player gets
it. What is no gain, the soft knee within a third of a millisecond and the dither, is what remains.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter1d

from worker.domain import Samples
from worker.engines.sketch.effects import dust, shaped, tone, worn
from worker.engines.sketch.mixing import finished, gathered
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


def stems(score: Score, track: Samples, check: Callable[[], None]) -> Iterator[tuple[str, Samples]]:
    """Each player's share of a mastered track (2, samples) by its name, one at a time; the sum of all is under `REMAINS_DB` from it.

    Raises Different before the first, also for a track of another form.
    """
    style = score.style
    given = gathered(score, score.parts, score.hits, check)
    if track.shape != given.shape:
        raise Different(f"The track has {track.shape} samples, what is composed {given.shape}")
    if style.dust:
        given = worn(given)
        noise = dust(given)
        given += noise
    response = tone(given, style.tilt_db, style.low_db)
    line = shaped(given, response)
    check()
    mix = finished(line, score)
    mix -= mix.mean(axis=1, keepdims=True)
    for wave, most_db in ((mix, LIKE_DB), (line, REMAINS_DB)):
        gain = measured(track, wave)
        if (left_db := _level_db(track - wave * gain, track)) > most_db:
            raise Different(f"{left_db:.1f} dB of the track are not in what is composed")
        check()
    del given, mix, line

    def share(name: str, wave: Wave) -> tuple[str, Samples]:
        return name, np.asarray(shaped(wave, response) * gain, np.float32)

    for part in score.parts:
        alone = gathered(score, [part], [], check)
        yield share(f"{part.role} {part.instrument}", worn(alone) if style.dust else alone)
    if score.hits:
        alone = gathered(score, [], score.hits, check)
        yield share("drums", worn(alone) if style.dust else alone)
    if style.dust:
        yield share("dust", np.broadcast_to(noise, track.shape))


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
