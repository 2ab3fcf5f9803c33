"""What the decoder's child may answer. It reads hostile bytes and may be taken over by them: its words are checked."""

from __future__ import annotations

from itertools import chain, pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from worker.domain import FACTS
from worker.pipeline.look.footage import Footage, Length, Rate, Sound

LONGEST_FACT = 300
"""Letters."""
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
    facts: dict[
        Annotated[str, Field(pattern=f"^({'|'.join(FACTS)})$")], Annotated[str, Field(max_length=LONGEST_FACT)]
    ] = {}
    """What it says of where it comes from."""


class Spoken(Answer):
    """Where somebody speaks; see `worker.domain.Speech`. An hour has room for as many spans, a second apart."""

    spans: Annotated[tuple[tuple[Seconds, Seconds], ...], Field(max_length=3000)]
    heard_s: Seconds
    film_s: Length

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        times = [0.0, *chain.from_iterable(self.spans), self.film_s]
        if any(later < earlier for earlier, later in pairwise(times)):
            raise ValueError("the spans are not in order")
        return self


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
