"""The sound of a merge as filters of ffmpeg: music, alone or with the film's own sound. docs/contract.md has it as a formula."""

from __future__ import annotations

import re
from typing import Any

import ffmpeg

from worker.pipeline.look.footage import Sound

RATE_HZ = 48_000
_FADE_S = 3.0
_CEILING = 10 ** (-2.25 / 20)
"""Of the limiter, which works between the samples too: the codec adds up to a decibel."""

_BOTH = "stereo|c0=c0|c1=c0"
_PLACED = re.compile(r"[2-7]\.[01](\((back|side|front|wide|wide-side)\))?")
"""Layouts of loudspeakers as libav names them, "5.1(side)" say. A place that one lacks counts as silent."""
_HALF = f"{0.5**0.5:.7f}"
"""Of the power."""
_QUAD = "stereo|FL=0.5*FL+0.5*SL+0.5*BL|FR=0.5*FR+0.5*SR+0.5*BR"
_SURROUND = "stereo|" + "|".join(
    f"F{side}=F{side}+{_HALF}*FC+{_HALF}*S{side}+{_HALF}*B{side}+{_HALF}*F{side}C+0.5*BC" for side in "LR"
)
"""The bass of 5.1 is left out. Web Audio has no rule for what has other places: theirs are the same."""


def music(given: Any, sound: Sound, film_s: float, gain_db: float) -> Any:
    """Music from 0 to the film's end: short music ends in silence, long music in a fade."""
    track = _even(given.filter("asetpts", "PTS-STARTPTS"), sound, film_s).filter("volume", f"{gain_db}dB")
    if sound.end_s - sound.start_s > film_s + 0.1:
        fade_s = min(_FADE_S, film_s / 3)
        track = track.filter("afade", type="out", start_time=film_s - fade_s, duration=fade_s)
    return track


def ducked(track: Any, envelope: Any) -> Any:
    """Music times an envelope of at least its length, one gain for both channels."""
    gain = envelope.filter("aresample", RATE_HZ).filter("pan", args=_BOTH).filter("aformat", sample_fmts="fltp")
    return ffmpeg.filter([track, gain], "amultiply")


def mixed(track: Any, given: Any, sound: Sound, film_s: float) -> Any:
    """Music and a sound of the film, each as loud as it is."""
    original = _even(given, sound, film_s)
    return ffmpeg.filter([original, track], "amix", inputs=2, duration="first", normalize=0)


def limited(sound: Any) -> Any:
    """At most -1 dBTP in the file."""
    fine = sound.filter("aresample", 4 * RATE_HZ).filter("alimiter", limit=_CEILING, level=0, latency=1)
    return fine.filter("aresample", RATE_HZ)


def stereo(given: Any, sound: Sound) -> Any:
    """Stereo at 48 kHz from time 0: a late start becomes silence, an early one is cut."""
    if folding := _folding(sound):
        given = given.filter("pan", args=folding)
    resampled = given.filter("aresample", RATE_HZ, **{"async": 1, "first_pts": 0})
    return resampled.filter("aformat", sample_fmts="fltp", channel_layouts="stereo")


def _even(given: Any, sound: Sound, film_s: float) -> Any:
    """Stereo to exactly the film's end."""
    return stereo(given, sound).filter("apad", whole_dur=film_s).filter("atrim", end=film_s)


def _folding(sound: Sound) -> str | None:
    """How channels become stereo: by the places they are meant for as Web Audio does it, mono at unity in both.

    Of Ambisonics what comes from everywhere and the difference of left and right (its first two channels), of others that libav knows
    no places of all alike. None where there is nothing to do, or libav knows better.
    """
    if sound.channels == 1:
        return _BOTH
    if sound.folds:
        if sound.layout in {"quad", "quad(side)"}:
            return _QUAD
        return _SURROUND if _PLACED.fullmatch(sound.layout) else None
    if sound.layout.startswith("ambisonic") and sound.channels > 1:
        return "stereo|c0=0.7*c0+0.5*c1|c1=0.7*c0-0.5*c1"
    every = "+".join(f"c{number}" for number in range(sound.channels))
    return f"stereo|c0<{every}|c1<{every}"
