"""What is seen and heard of a film: frozen values without I/O."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

Pictures = npt.NDArray[np.uint8]
"""(n, 3, height, width), RGB."""
PROTOCOLS = "file"
"""libav's protocol_whitelist for every open: a playlist cannot make the decoder reach anything else."""
VIDEO_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,flv,ogg"
"""libav's format_whitelist for videos: no playlist format is in it (names are matched one by one)."""
AUDIO_FORMATS = VIDEO_FORMATS + ",flac,wav,mp3,aac"
"""libav's format_whitelist for the music of a merge."""
LONG_S = 600.0
"""A film that is longer is heard with progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A stretch of video between two cuts and how it looks; levels are 0..1."""

    start_s: float
    end_s: float
    brightness: float
    saturation: float
    warmth: float
    """0 is cold (blue), 1 is warm (red and yellow)."""
    motion: float

    @property
    def liveliness(self) -> float:
        """0..1, as music goes by it."""
        return 0.7 * self.motion + 0.3 * self.brightness


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of a film, in seconds from its first frame."""

    start_s: float
    end_s: float


HitKind = Literal["accent", "drop", "stop", "downbeat"]
"""What the music is to do at a moment: a stroke; the peak of a build; silence that rings; the first beat of a bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A moment of the film that the music is to meet, in seconds from its first frame."""

    at_s: float
    kind: HitKind = "accent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of the film, up to the next one, with music of its own."""

    start_s: float
    prompt: str | None = None
    """What is heard there beside the direction; None: nothing else."""
    energy: float | None = None
    """0 is the calmest, 1 the liveliest; None: as the film suggests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """A sampled frame: JPEG bytes, longest side at most 512 pixels."""

    time_s: float
    jpeg: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A video file that was probed and looked at: what describers and engines work from."""

    path: Path
    digest: str
    """sha256 of the file, hex."""
    duration_s: float
    """How much of the video is to be set to music: its length, or the `duration` asked for when shorter."""
    width: int
    height: int
    fps: float
    has_audio: bool
    scenes: tuple[Scene, ...]
    stills: tuple[Still, ...]
    glanced: bool = False
    """Whether its key frames are all that was looked at: cuts are known as well as those lie."""
    speech: tuple[Span, ...] = ()
    """Where somebody speaks, as far as that is known."""

    @property
    def is_mostly_speech(self) -> bool:
        spoken_s = sum(max(0.0, min(span.end_s, self.duration_s) - span.start_s) for span in self.speech)
        return spoken_s > 0.5 * self.duration_s

    @property
    def cuts_s(self) -> tuple[float, ...]:
        """The times at which the picture changes, without 0 and the end."""
        return tuple(scene.start_s for scene in self.scenes[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What an engine wants to see of a film: for every slot of a clock the first frame at or after it, the clip's end included."""

    fps: int
    side: int
    """Of the square that each frame becomes, in pixels."""
    cropped: bool
    """The middle of the frame, its short side made `side`; else all of it, squashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """A view's next pictures, each distinct frame once."""

    pictures: Pictures  # (n, 3, side, side)
    repeats: npt.NDArray[np.int64]  # (n,), how many slots each fills


Frames = tuple[Strip, ...]
"""A stretch of a film, some seconds: a strip for each of the engine's views."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """Where somebody speaks in a film, as far as it was heard."""

    spans: tuple[Span, ...]
    """In order and a second or more apart."""
    heard_s: float
    film_s: float

    @property
    def whole(self) -> bool:
        return self.heard_s >= self.film_s

    @property
    def long(self) -> bool:
        """Whether hearing the film takes so long that it is told how far that is."""
        return self.film_s > LONG_S
