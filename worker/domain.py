"""The nouns of a job: frozen values without I/O, shared by the listener, the pipeline and the adapters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""Audio: (channels, samples), float32, full scale is 1.0."""
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
TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
"""How we write the pitch classes, 0 to 11."""

FACTS = (
    "generator", "engine", "licence", "licence_url", "commercial_use", "seed", "prompt_sha256", "source_type",
)  # fmt: skip
Facts = Mapping[str, str]
"""What a file says of where it comes from, by the names in `FACTS`. The source type is IPTC's."""
MADE_BY_MODEL = "trainedAlgorithmicMedia"
"""IPTC's word for media that a trained model has made."""

Verdict = Literal["lost", "cancelled"]
"""Why the holder of a lease is to stop."""


class Kind(StrEnum):
    """What a job asks for."""

    GENERATE = "generate"
    MERGE = "merge"


class Stage(StrEnum):
    """Where a running job stands, as users see it."""

    FETCHING = "fetching"
    DESCRIBING = "describing"
    COMPOSING = "composing"
    HEARING = "hearing"
    MERGING = "merging"


@dataclass(frozen=True, slots=True)
class Licence:
    """Under what weights stand, which is what their makers say of the music, too."""

    name: str
    """As SPDX writes it, e.g. CC-BY-NC-4.0."""
    commercial: bool
    """Whether music made with them may be sold."""
    url: str
    """Where it is to be read."""

    def __str__(self) -> str:
        """As the tags of a file say it."""
        return f"{self.name}, {'commercial use allowed' if self.commercial else 'no commercial use'}: {self.url}"


MIT = Licence("MIT", commercial=True, url="https://opensource.org/license/mit")
"""Ours, and so that of music made without anybody's weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write for a job: every write carries it and is refused when it no longer holds."""

    job_id: UUID
    attempt: int
    worker_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for beyond the video and the wish; unset fields take the engine's defaults."""

    seed: int | None = None
    duration_s: float | None = None
    negative_prompt: str | None = None
    conditioning: str = "full"
    """What the engine sees of the video: full, text+clip or text."""
    format: str = "flac"
    """flac, wav, mp3 or m4a."""
    loudness_lufs: float = -14.0
    """Integrated, of each track."""
    steps: int | None = None
    guidance: float | None = None
    audio_url: str | None = None
    mode: str = "replace"
    """Of a merge: replace the video's own sound, or mix with it."""
    music_gain_db: float = 0.0
    duck: bool = False
    duck_db: float = -10.0

    @property
    def ducks(self) -> bool:
        """Whether the music of a merge follows the speech of the film."""
        return self.mode == "mix" and self.duck


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """One musical direction: what a composer would be told, a title, and in `prompt` the generator's caption."""

    title: str
    prompt: str
    description: str
    genre: str
    instruments: tuple[str, ...]
    tempo_bpm: float
    key: str
    """A tonic and a mode, e.g. "D minor" or "F# major"."""
    mood: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One track to make: its place among the results, its seed (0..2^32-1) and its direction."""

    index: int
    seed: int
    direction: Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All variants of a job and who wrote them; saved once, so that a retry makes the same music."""

    variants: tuple[Variant, ...]
    describer: str
    """For example "openai:ernie-4.5-vl-28b-a3b", "local" or "user"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A claimed job, as the worker sees it."""

    lease: Lease
    kind: Kind
    video_url: str
    user_request: str = ""
    options: Options = field(default_factory=Options)
    total_count: int = 3
    lane: str = "interactive"
    """interactive or batch."""
    engine: str = ""
    """What it is to be composed with, by name; empty: with whatever is first here."""
    plan: Plan | None = None
    asked_plan: tuple[Direction, ...] = ()
    """Hand-written directions of the request; they replace the describer's."""
    done: frozenset[int] = frozenset()
    """Indices that have a result already: a retry makes only the others."""
    announced_bytes: int | None = None
    """What was said of the upload that the video is, when its address was asked for."""
    traceparent: str
    """W3C trace context: `00-<trace id>-<parent id>-<flags>`."""
    waited_s: float | None = None
    """From its insert to its claim, by the clock of the database; only the first attempt waits for a worker alone."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of a film, in seconds from its first frame."""

    start_s: float
    end_s: float


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """Raw music of one variant as an engine hands it over; mastering gives it its exact length and loudness."""

    index: int
    samples: Samples  # (1 or 2 channels, samples)
    sample_rate: int
    bpm: float | None = None
    key: str | None = None
    """Tempo and key, where the engine has composed them note by note; None: they are heard on the samples."""
    loudness_lufs: float | None = None
    """Integrated loudness of `samples`, where the engine has measured it."""
    seed: int | None = None
    """Where another than the variant's had to be used."""


def _rounded(figure: float | None, places: int) -> float | None:
    return None if figure is None else round(figure, places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a finished track fits its film, as it is heard (docs/sound.md)."""

    cuts: int
    on_beat: int
    """Cuts with a beat within 100 ms."""
    chance: float | None
    """The share of cuts that beats so dense meet by chance; None where nothing pulses."""
    luck: float
    """How likely chance alone meets as many cuts."""
    curve: float | None
    """Correlation of what happens in the picture with what happens in the music; None where one of them does nothing."""
    curve_chance: float | None
    """What such a correlation reaches by chance, in one of twenty cases."""
    hit_errors_s: tuple[float | None, ...] = ()
    """How late the stroke at each asked moment is; None where there is none within half a second."""
    beats_s: tuple[float, ...] = ()
    bpm: float | None
    key: str | None
    loudness_lufs: float | None
    lra_lu: float | None
    """Loudness range; None for silence and for less than 3 s."""
    true_peak_db: float | None

    @property
    def told(self) -> dict[str, float | None]:
        """What the row of its track holds."""
        return {
            "cuts": self.cuts,
            "on_beat": self.on_beat,
            "chance": _rounded(self.chance, 2),
            "luck": _rounded(self.luck, 3),
            "curve": _rounded(self.curve, 2),
            "lra_lu": _rounded(self.lra_lu, 1),
            "score": _rounded(self.score, 2),
        }

    @property
    def score(self) -> float:
        """How far it fits beyond chance, 0 to 2: the share of cuts met less the one by chance, and how much closer than by chance it follows the picture."""
        met = self.on_beat / self.cuts - (self.chance or 0.0) if self.on_cuts else 0.0
        beyond = self.curve - max(0.0, self.curve_chance) if self.follows and self.curve and self.curve_chance else 0.0
        return max(0.0, met) + beyond

    @property
    def on_cuts(self) -> bool:
        """Whether more cuts are on beats than chance gives in one of ten cases."""
        return self.on_beat > 0 and self.luck < 0.1

    @property
    def follows(self) -> bool:
        """Whether the music follows the picture further than chance gives."""
        return self.curve is not None and self.curve_chance is not None and self.curve > max(0.0, self.curve_chance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A mastered track in a file format, ready for upload."""

    data: bytes
    content_type: str
    suffix: str
    duration_s: float
    peaks: str
    """The waveform in base64: at most 160 bytes, each the absolute peak of its stretch; 255 is full scale."""
    loudness_lufs: float | None
    """Integrated loudness; None for silence and moments."""
    true_peak_db: float | None
    """In dBTP, before a lossy codec; None for silence."""
    bpm: float | None = None
    key: str | None = None
    """As the engine composed them or as they are heard; None where nothing pulses, or has pitch."""
    fit: Fit | None = None
    """None where nothing is known of the film."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A video with music under it, ready for upload."""

    file: Path
    facts: Facts = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What it has otherwise than asked, in sentences for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One row of `results`."""

    index: int
    prompt: str = ""
    title: str = ""
    description: str = ""
    audio_url: str | None = None
    audio_preview_url: str | None = None
    video_url: str | None = None
    seed: int | None = None
    duration_s: float | None = None
    engine: str = ""
    model: str = ""
    licence: Licence | None = None
    """None: of music that is not ours."""
    describer: str = ""
    bpm: float | None = None
    key: str | None = None
    peaks: str = ""
    loudness_lufs: float | None = None
    true_peak_db: float | None = None
    ignored: tuple[str, ...] = ()
    """Options that were asked for and that the engine does not know, by their names."""
    fit: dict[str, float | None] | None = None
    """What `Fit.told` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A webhook to send, held under a short lease; `id` is the message's, the same in every try."""

    id: UUID
    job_id: UUID
    url: str
    attempt: int
    traceparent: str
    body: dict[str, Any]
