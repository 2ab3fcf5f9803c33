"""What the decoder's child may answer. It reads hostile bytes and may be taken over by them: its words are checked."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from worker.pipeline.look.footage import Footage, Length, Rate, Sound

Seconds = Annotated[float, Field(ge=0, lt=1e6, allow_inf_nan=False)]
Shown = Annotated[int, Field(gt=0, le=4 * 4096)]
"""Pixels of a side, were they square."""
Level = Annotated[float, Field(ge=0, le=1)]


class Answer(BaseModel):
    """A line of JSON; `stills` are (time in seconds, length of the JPEG that follows the line)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stills: Annotated[tuple[tuple[Seconds, NonNegativeInt], ...], Field(max_length=16)] = ()


class Refusal(Answer):
    """Why the decoder does not take the file."""

    code: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
    message: Annotated[str, Field(max_length=500)]


class Measured(Answer):
    """What a video measures."""

    footage: Footage


class Heard(Answer):
    """What the sound of a file measures."""

    sound: Sound


class SeenScene(BaseModel):
    """A scene; see `worker.domain.Scene`."""

    start_s: Seconds
    end_s: Seconds
    brightness: Level
    saturation: Level
    warmth: Level
    motion: Level


class Seen(Answer):
    """Everything a Clip needs."""

    width: Shown
    height: Shown
    duration_s: Length
    fps: Rate
    has_audio: bool
    glanced: bool
    """Whether key frames are all that was looked at: there is more to see."""
    kept: bool
    """Whether the frames that the engine wants come next."""
    scenes: Annotated[tuple[SeenScene, ...], Field(min_length=1, max_length=1000)]
