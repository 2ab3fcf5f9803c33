"""The sound of a merge as filters of ffmpeg: music, alone or with the film's own sound."""

from __future__ import annotations

from typing import Any

import ffmpeg

from worker.domain import Options
from worker.pipeline.look.footage import Footage, Sound

RATE_HZ = 48_000
_FADE_S = 3.0
_CEILING = 10 ** (-2.25 / 20)
"""Of the limiter, which works between the samples too: the codec adds up to a decibel."""


def music(given: Any, sound: Sound, film_s: float, gain_db: float) -> Any:
    """Music from 0 to the film's end: short music ends in silence, long music in a fade."""
    track = _even(given.filter("asetpts", "PTS-STARTPTS"), sound, film_s).filter("volume", f"{gain_db}dB")
    if sound.end_s - sound.start_s > film_s + 0.1:
        fade_s = min(_FADE_S, film_s / 3)
        track = track.filter("afade", type="out", start_time=film_s - fade_s, duration=fade_s)
    return track


def mixed(track: Any, given: Any, sound: Sound, film: Footage, options: Options) -> Any:
    """Music under a sound of the film, quieter while that is loud if it is to duck."""
    if film.jumps:  # whose times ffmpeg sets right itself, and then begins at 0
        given = given.filter("asetpts", f"PTS-STARTPTS+{sound.start_s:.6f}/TB")
    original = _even(given, sound, film.duration_s)
    if options.duck:
        split = original.filter_multi_output("asplit")
        original = split[0]
        track = ffmpeg.filter([track, split[1]], "sidechaincompress", threshold=0.03, ratio=6, attack=20, release=500)
    return ffmpeg.filter([original, track], "amix", inputs=2, duration="first", normalize=0)


def limited(sound: Any) -> Any:
    """At most -1 dBTP in the file."""
    fine = sound.filter("aresample", 4 * RATE_HZ).filter("alimiter", limit=_CEILING, level=0, latency=1)
    return fine.filter("aresample", RATE_HZ)


def _even(given: Any, sound: Sound, film_s: float) -> Any:
    """Stereo at 48 kHz from time 0 (a late start becomes silence, an early one is cut) to exactly the film's end."""
    if not sound.folds:
        given = given.filter("pan", args=_folding(sound))
    resampled = given.filter("aresample", RATE_HZ, **{"async": 1, "first_pts": 0})
    stereo = resampled.filter("aformat", sample_fmts="fltp", channel_layouts="stereo")
    return stereo.filter("apad", whole_dur=film_s).filter("atrim", end=film_s)


def _folding(sound: Sound) -> str:
    """How channels become stereo that libav knows no places of: of Ambisonics what comes from everywhere and the difference of left
    and right (its first two channels), of others all alike.
    """
    if sound.layout.startswith("ambisonic") and sound.channels > 1:
        return "stereo|c0=0.7*c0+0.5*c1|c1=0.7*c0-0.5*c1"
    every = "+".join(f"c{number}" for number in range(sound.channels))
    return f"stereo|c0<{every}|c1<{every}"
