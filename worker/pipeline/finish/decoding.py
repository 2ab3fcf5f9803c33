"""Every sample of anybody's audio file, decoded in a confined child."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import ffmpeg
import imageio_ffmpeg

from worker.domain import AUDIO_FORMATS
from worker.errors import Rejected
from worker.pipeline.finish.command import opened
from worker.pipeline.finish.complaints import in_words
from worker.pipeline.finish.sound import RATE_HZ, stereo
from worker.pipeline.look.answers import Heard
from worker.pipeline.look.child import Limits, run_child
from worker.pipeline.look.footage import Sound
from worker.pipeline.look.look import ask_decoder

LONGEST_S = 900.0
_BYTES = {"f32le": 4, "s16le": 2}


async def listen(track: Path, longest_s: float = LONGEST_S) -> Sound:
    """What its sound measures. Raises Rejected (not_audio, too_long) and Unavailable."""
    heard, _ = await ask_decoder("listen", track, longest_s, expect=Heard, limits=Limits())
    if heard.sound.end_s - heard.sound.start_s > longest_s:
        raise Rejected(f"The track is {heard.sound.end_s:.0f} s long, the limit is {longest_s:.0f} s", code="too_long")
    return heard.sound


async def decode(
    track: Path, sound: Sound, kind: Literal["f32le", "s16le"], rate: int, channels: int, longest_s: float = LONGEST_S
) -> bytes:
    """Whole moments, channel beside channel. Raises Rejected (not_audio) and Unavailable."""
    played = opened(track, AUDIO_FORMATS)[f"a:{sound.number}"].filter("asetpts", "PTS-STARTPTS")
    if sound.channels > 2:
        played = stereo(played, sound)
    output = ffmpeg.output(played, "pipe:1", format=kind, ar=rate, ac=channels)
    output = output.global_args("-nostdin", "-hide_banner", "-loglevel", "error")
    line: list[str] = ffmpeg.compile(output, cmd=imageio_ffmpeg.get_ffmpeg_exe())
    moment = _BYTES[kind] * channels
    limits = Limits(output_bytes=round((longest_s + 60) * max(rate, RATE_HZ)) * moment)
    ended = await run_child(line, limits, task="Decoding the track", reads=[track])
    if ended.code or not ended.output:
        why = in_words(ended.complaints)
        raise Rejected(f"The track cannot be decoded ({why}); export it again, for example as FLAC", code="not_audio")
    return ended.output[: len(ended.output) // moment * moment]
