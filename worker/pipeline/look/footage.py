"""What is known of a video before it is looked at: its picture, its sounds, and how much of it is to be decoded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

from pydantic import Field

Skip = Literal["DEFAULT", "NONREF", "NONKEY"]
Name = Annotated[str, Field(max_length=60)]
Count = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(gt=0, le=4096)]
Length = Annotated[float, Field(gt=0, lt=1e6, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1000)]
Time = Annotated[float, Field(allow_inf_nan=False)]

_LIGHT_PIXELS = 4e9
"""Up to this many pixels a video is decoded whole: about ten seconds of one core for H.264."""
_HEAVY_PIXELS = 60e9
"""Above this only key frames are decoded."""
_GLANCE_PIXELS = 0.3e9
"""Up to this a video is looked at in well under a second: there is nothing to hurry."""
_GLANCED_KEYS = 64
"""The most key frames of a glance: two seconds of one core for 1080p."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """One of a video's sound streams. Times count from the first frame shown and may be negative."""

    number: Count
    """Among the file's sound streams: ffmpeg's `a:0` is number 0."""
    codec: Name
    layout: Name
    """As libav names it: "mono", "5.1(side)", "ambisonic 1"."""
    channels: Count
    rate_hz: Count
    start_s: Time
    end_s: Time
    decodes: bool
    """Whether its first frame could be decoded."""
    folds: bool
    """Whether libav makes stereo of that frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """What a video measures. Its words come from a process that reads hostile bytes: their bounds are checked by `answers.Measured`."""

    stream: Count
    """The picture's place among all streams of the file, as in ffmpeg's `-map 0:1`."""
    width: Side
    height: Side
    """As decoded: pixels may not be square, and phones film lying down."""
    pixel_aspect: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
    """Width to height of a pixel; (1, 1) is square."""
    codec: Name
    profile: Name
    """As libav names it: "High", "High 4:4:4 Predictive", "Main 10"; empty where there is none."""
    pixel_format: Name
    rgb: bool
    interlaced: bool
    transfer: Count
    primaries: Count
    matrix: Count
    """Code points of ITU-T H.273: 1 is BT.709, 2 is unspecified; a transfer of 16 is PQ, one of 18 is HLG."""
    colour_range: Count
    """0 unspecified, 1 limited, 2 full."""
    decodes: bool
    """Whether a frame of its beginning could be decoded."""
    start: int
    """Presentation time of the first frame shown, in ticks of the picture's stream; all other times count from it."""
    start_s: Time
    """The same in seconds."""
    hidden_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """How much picture lies in the file that an edit list takes out."""
    picture_s: Length
    """From the first frame shown to the end of the last one."""
    duration_s: Length
    """Of the film: its picture's, or that of a sound that goes on for longer, while the last frame stands."""
    fps: Rate
    timed: bool
    """Whether frames carry presentation times. Where they have none (AVI) the n-th frame shown has the n-th time of decoding."""
    pace: Count
    """Ticks from one frame to the next, where those without times follow each other evenly; else 0."""
    jumps: bool
    """Whether the clock of a transport stream starts again or jumps; times are told as if it went on."""
    keys: Count
    """Key frames, which can be decoded without the others."""
    sounds: Annotated[tuple[Sound, ...], Field(max_length=64)]
    """The one to be heard, by libav's choice, comes first."""
    container: Literal["mp4", "webm", ""] = ""
    """Of the file, if it is one that browsers take."""
    glanced: bool = False
    followed: bool = False
    """Whether an engine wants to see every frame, whatever it takes."""

    @property
    def usable_sounds(self) -> tuple[Sound, ...]:
        return tuple(sound for sound in self.sounds if sound.decodes)

    @property
    def has_audio(self) -> bool:
        return bool(self.usable_sounds)

    @property
    def pixels(self) -> float:
        return self.width * self.height * self.fps * self.picture_s

    @property
    def light(self) -> bool:
        """Whether every frame can be afforded."""
        return self.pixels <= _LIGHT_PIXELS

    @property
    def skip(self) -> Skip:
        """libav's skip_frame: what is not decoded."""
        if self.glanced:
            return "NONKEY"
        if self.followed:
            return "DEFAULT"
        return "DEFAULT" if self.light or not self.timed else "NONREF" if self.pixels <= _HEAVY_PIXELS else "NONKEY"

    @property
    def every_key(self) -> int | None:
        """Of which key frames every how many-th is decoded; None for all frames."""
        if self.skip != "NONKEY":
            return None
        return -(-self.keys // _GLANCED_KEYS) if self.glanced else 1

    def glance(self, stills: int) -> Self:
        """The same footage, to be seen by its key frames alone where that saves time and shows as much as so many stills."""
        hurry = self.timed and self.keys >= stills and self.pixels > _GLANCE_PIXELS
        return replace(self, glanced=True) if hurry else self
