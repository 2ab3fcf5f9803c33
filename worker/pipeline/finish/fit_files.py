"""The fit of any track to any film, from their files: both are opened in confined children alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ffmpeg
import imageio_ffmpeg
import numpy as np

from worker.domain import AUDIO_FORMATS, Facts, Fit, Samples
from worker.errors import Rejected
from worker.pipeline.finish.command import opened
from worker.pipeline.finish.complaints import in_words
from worker.pipeline.finish.sound import RATE_HZ, stereo
from worker.pipeline.look.answers import Heard
from worker.pipeline.look.child import Limits, run_child
from worker.pipeline.look.footage import Sound
from worker.pipeline.look.look import ChildLooker, ask_decoder
from worker.pipeline.video import looked_at
from worker.together import together

LONGEST_S = 900.0
_SLOWEST_HZ = 16_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesFit:
    fit: Fit
    film_s: float
    track_s: float


async def fit_files(film: Path, track: Path, hits_s: Sequence[float] = ()) -> FilesFit:
    """Raises Rejected (what `ChildLooker.look` raises, not_audio, too_long) and Unavailable."""
    from worker.pipeline.finish.fit import fit  # brings scipy's filters, which decoding needs not

    looker = ChildLooker(max_duration_s=LONGEST_S)
    clip, (samples, rate, _) = await together(looked_at(looker, film, None), decoded(track))
    found = await asyncio.to_thread(fit, samples, rate, clip.scenes, hits_s)
    return FilesFit(fit=found, film_s=clip.duration_s, track_s=samples.shape[1] / rate)


async def decoded(track: Path, longest_s: float = LONGEST_S) -> tuple[Samples, int, Facts]:
    """The sound of a track, (1 or 2, samples), its rate, and what it says of itself; of 16 bits each sample is what it is in the file.

    Raises Rejected (not_audio, too_long), Unavailable.
    """
    heard, _ = await ask_decoder("listen", track, longest_s, expect=Heard, limits=Limits())
    sound = heard.sound
    if sound.end_s - sound.start_s > longest_s:
        raise Rejected(f"The track is {sound.end_s:.0f} s long, the limit is {longest_s:.0f} s", code="too_long")
    rate = sound.rate_hz if _SLOWEST_HZ <= sound.rate_hz <= RATE_HZ and sound.channels <= 2 else RATE_HZ
    channels = min(2, sound.channels)
    limits = Limits(output_bytes=round((longest_s + 60) * RATE_HZ) * 8)
    line = _command(track, sound, rate, channels)
    ended = await run_child(line, limits, task="Decoding the track", reads=[track])
    if ended.code or not ended.output:
        why = in_words(ended.complaints)
        raise Rejected(f"The track cannot be decoded ({why}); export it again, for example as FLAC", code="not_audio")
    whole = len(ended.output) // (4 * channels) * channels
    samples = np.frombuffer(ended.output, "<f4", whole).reshape(-1, channels).T
    return np.nan_to_num(samples), rate, heard.facts


def _command(track: Path, sound: Sound, rate: int, channels: int) -> list[str]:
    played = opened(track, AUDIO_FORMATS)[f"a:{sound.number}"].filter("asetpts", "PTS-STARTPTS")
    if sound.channels > 2:
        played = stereo(played, sound)
    output = ffmpeg.output(played, "pipe:1", format="f32le", ar=rate, ac=channels)
    output = output.global_args("-nostdin", "-hide_banner", "-loglevel", "error")
    line: list[str] = ffmpeg.compile(output, cmd=imageio_ffmpeg.get_ffmpeg_exe())
    return line
