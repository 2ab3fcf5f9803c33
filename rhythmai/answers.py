"""What the API answers, as typed values. Fields of a newer API are ignored, those of an older one take their defaults."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

Status = Literal["pending", "processing", "completed", "failed", "cancelled"]
ENDED: Final = frozenset[Status]({"completed", "failed", "cancelled"})


class Span(BaseModel):
    """A stretch of the video, in seconds."""

    model_config = ConfigDict(frozen=True)

    start: float
    end: float


class Hit(BaseModel):
    """A moment that the music is to meet."""

    model_config = ConfigDict(frozen=True)

    at: float
    """Seconds."""
    kind: Literal["accent", "drop", "stop", "downbeat"] = "accent"
    """A stroke; the peak of a build; silence that rings; the first beat of a bar."""


class Segment(BaseModel):
    """A stretch of the video, up to the next one, with music of its own."""

    model_config = ConfigDict(frozen=True)

    start: float
    prompt: str | None = None
    energy: float | None = None
    """0 to 1; None: as the film suggests."""


class Licence(BaseModel):
    """Under which the weights stand that made the music."""

    model_config = ConfigDict(frozen=True)

    name: str
    """As SPDX writes it, e.g. CC-BY-NC-4.0."""
    commercial: bool
    """Whether the music may be used commercially."""
    url: str


class Fit(BaseModel):
    """How a track fits its film, as it is heard."""

    model_config = ConfigDict(frozen=True)

    cuts: int
    on_beat: int
    """Cuts with a beat within 100 ms."""
    chance: float | None = None
    """The share of cuts that beats so dense meet by chance; None where nothing pulses."""
    luck: float = 1
    """How likely chance alone meets as many cuts."""
    curve: float | None = None
    """Correlation of what happens in the picture with what happens in the music."""
    lra_lu: float | None = None
    """Loudness range."""
    score: float = 0
    """How far it fits beyond chance, 0 to 2."""
    hits: tuple[float | None, ...] = ()
    """Of each of the job's hits, how many seconds late its stroke is heard, early is negative; None where none is."""


class Result(BaseModel):
    """One finished track, the video of a merge, or a pack."""

    model_config = ConfigDict(frozen=True)

    index: int
    prompt: str = ""
    audio_url: str | None = None
    audio_preview_url: str | None = None
    """The same for players, as M4A or MP3."""
    video_url: str | None = None
    pack_url: str | None = None
    """A zip of a track with what goes on with it elsewhere."""
    title: str = ""
    description: str = ""
    seed: int | None = None
    duration: float | None = None
    """Seconds."""
    bpm: float | None = None
    key: str | None = None
    """A tonic and a mode, e.g. "D minor"."""
    engine: str = ""
    model: str = ""
    licence: Licence | None = None
    """None: of music that is not ours."""
    describer: str = ""
    peaks: Base64Bytes | None = None
    """The waveform: at most 160 absolute peaks, 255 is full scale."""
    loudness_lufs: float | None = None
    """Integrated; -14 where the track's peaks allow it."""
    true_peak_db: float | None = None
    ignored: tuple[str, ...] = ()
    """Options that were asked for and that the engine does not know."""
    fit: Fit | None = None
    """None where the film's cuts are not known to the frame."""
    gain_db: float | None = None
    """By which the raw track was raised; None: it cannot be mended."""
    mended: Span | None = None
    """What of a mended track is new."""
    created_at: datetime | None = None


class PlannedTrack(BaseModel):
    """What a track will be, before there is any music."""

    model_config = ConfigDict(frozen=True)

    index: int
    title: str = ""
    description: str = ""
    tempo_bpm: float | None = None
    key: str | None = None


class Direction(BaseModel):
    """What a composer is told of one track, as `plan` of `submit` takes it."""

    model_config = ConfigDict(frozen=True)

    prompt: str
    title: str | None = None
    description: str | None = None
    genre: str | None = None
    instruments: tuple[str, ...] = ()
    tempo_bpm: float | None = None
    key: str | None = None
    mood: str | None = None


class Scene(Span):
    """A stretch between two cuts and how it looks; levels are 0 to 1."""

    brightness: float
    saturation: float
    warmth: float
    motion: float


class Brief(BaseModel):
    """What is seen and heard in a film, and what the director would have played."""

    model_config = ConfigDict(frozen=True)

    duration: float
    scenes: tuple[Scene, ...] = ()
    cuts: tuple[float, ...] = ()
    speech: tuple[Span, ...] = ()
    hits: tuple[Hit, ...] = ()
    seed: int
    directions: tuple[Direction, ...]

    def asks(self) -> dict[str, Any]:
        """Options of `submit` that make its music: the same every time on the sketch."""
        told = self.model_dump(mode="json", include={"hits", "seed", "directions"}, exclude_none=True)
        return {"plan": told["directions"], "hits": told["hits"], "seed": told["seed"]}


class Standing(BaseModel):
    """Where a job stands, without its results: also the payload of the Realtime event `job`."""

    model_config = ConfigDict(frozen=True)

    status: Status
    stage: str | None = None
    completed_count: int = 0
    total_count: int = 0
    engine: str = "auto"
    """What the job asks for."""
    waiting_for: str | None = None
    """`engine` while no worker has the one that a pending job asks for."""
    preview_url: str | None = None
    """The film as every browser plays it; None where it is played as it is."""
    error: str | None = None
    error_code: str | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class Job(Standing):
    """A job and the results it has so far."""

    job_id: UUID
    results: tuple[Result, ...] = ()
    notes: tuple[str, ...] = ()
    """What went otherwise than asked, in sentences."""
    speech: tuple[Span, ...] | None = None
    """Where somebody speaks in what is set to music; None while it was not listened to."""
    best: int | None = None
    """The index of the track that fits the film best, of two or more; None where none does beyond chance."""
    kind: Literal["generate", "merge", "brief", "pack"] = "generate"
    video_url: str = ""
    user_request: str = ""
    metadata: dict[str, str] = Field(default_factory=dict)
    progress: int = 0
    """0 to 100; never less than before within an attempt."""
    eta_s: int | None = None
    directions: tuple[PlannedTrack, ...] = ()
    """As soon as the plan is made."""
    hits: tuple[Hit, ...] = ()
    """That hold: asked for, or else proposed by the director."""
    segments: tuple[Segment, ...] = ()
    brief: Brief | None = None
    """Of a brief that has ended."""
    expires_at: datetime | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    queue_position: int | None = None
