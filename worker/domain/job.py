"""A job and what it leaves behind: frozen values without I/O."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from worker.domain.film import Hit, Segment, Span
from worker.domain.music import Direction, Licence, Variant

Verdict = Literal["lost", "cancelled"]
"""Why the holder of a lease is to stop."""


class Kind(StrEnum):
    """What a job asks for."""

    GENERATE = "generate"
    MERGE = "merge"
    BRIEF = "brief"
    PACK = "pack"


class Stage(StrEnum):
    """Where a running job stands, as users see it."""

    FETCHING = "fetching"
    DESCRIBING = "describing"
    COMPOSING = "composing"
    HEARING = "hearing"
    MERGING = "merging"
    PACKING = "packing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write for a job: every write carries it and is refused when it no longer holds."""

    job_id: UUID
    attempt: int
    worker_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mending:
    """Which part of a track is to be made anew, and what is kept of that track."""

    start_s: float
    end_s: float
    seed: int
    gain_db: float
    master_url: str
    """Of a file that holds every sample."""
    latents_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for beyond the video and the wish; unset fields take the engine's defaults."""

    seed: int | None = None
    duration_s: float | None = None
    variants: int | None = None
    """How many directions a brief is to have; a job's tracks are its `total_count`."""
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
    hits: tuple[Hit, ...] | None = None
    """Moments to meet; None: the director says."""
    segments: tuple[Segment, ...] = ()
    loop: bool = False
    """Whether the track's end is to meet its beginning."""
    mend: Mending | None = None
    packs: dict[str, Any] | None = None
    """The result that a pack is made of, as answers tell it, and its `duration`."""

    @property
    def ducks(self) -> bool:
        """Whether the music of a merge follows the speech of the film."""
        return self.mode == "mix" and self.duck


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All variants of a job and who wrote them; saved once, so that a retry makes the same music."""

    variants: tuple[Variant, ...]
    describer: str
    """For example "openai:ernie-4.5-vl-28b-a3b", "local" or "user"."""
    hits: tuple[Hit, ...] = ()
    segments: tuple[Segment, ...] = ()


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
    fit: dict[str, Any] | None = None
    """What `Fit.told` says."""
    gain_db: float | None = None
    mended: Span | None = None
    master_url: str | None = None
    """Of a file that holds every sample, where `audio_url` does not."""
    latents_url: str | None = None
    pack_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A webhook to send, held under a short lease; `id` is the message's, the same in every try."""

    id: UUID
    job_id: UUID
    url: str
    attempt: int
    traceparent: str
    body: dict[str, Any]
