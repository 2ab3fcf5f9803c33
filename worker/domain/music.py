"""What becomes music: directions, tracks, recordings, and under which licence; frozen values without I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.domain.film import Span

Samples = npt.NDArray[np.float32]
"""Audio: (channels, samples), float32, full scale is 1.0."""
Steps = npt.NDArray[np.int16]
"""The same in 16 bits, as FLAC and WAV hold it."""
FULL = np.float32(32767)
"""Full scale, in steps."""
Latents = npt.NDArray[np.float16]
LOOP_S = 1.0
"""As long the end of a track that loops fades into its beginning, where its engine leaves that to whoever masters it."""
TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
"""How we write the pitch classes, 0 to 11."""
FACTS = (
    "generator", "engine", "licence", "licence_url", "commercial_use", "seed", "prompt_sha256", "source_type",
)  # fmt: skip
Facts = Mapping[str, str]
"""What a file says of where it comes from, by the names in `FACTS`. The source type is IPTC's."""
MADE_BY_MODEL = "trainedAlgorithmicMedia"
"""IPTC's word for media that a trained model has made."""


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
    latents: Latents | None = None
    """What its engine wants back when a part of it is to be mended; None: the samples are enough."""
    mended: Span | None = None
    """Of a mended track the stretch that is new; all else of the samples is only there to lead in and out."""
    loops: bool = False
    """Whether its end meets its beginning already; else a track that is to loop is longer than the film by `LOOP_S`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """What a finished track is made of, as its engine tells when it composes it again."""

    bars_s: tuple[float, ...]
    """Where bars begin."""
    sections: tuple[tuple[float, float], ...]
    """Where each begins, and its energy 0..1."""
    midi: bytes | None
    """Of its notes; None where nothing here writes MIDI."""
    stems: Iterable[tuple[str, Samples]]
    """What each player has of the finished track, by its name: made one at a time, when they are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The part of a track that is to be made anew, and what is there of the track."""

    start_s: float
    end_s: float
    seed: int
    """Of the track."""
    gain_db: float
    """By which it was raised when it was mastered."""
    samples: Samples
    """The mastered track, (channels, samples)."""
    sample_rate: int
    latents: Latents | None = None
    """`Track.latents`, as it was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A finished track as it is kept."""

    steps: Steps
    sample_rate: int
    latents: Latents | None = None

    @property
    def samples(self) -> Samples:
        return np.asarray(self.steps / FULL, np.float32)

    @property
    def duration_s(self) -> float:
        return int(self.steps.shape[1]) / self.sample_rate


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
    def told(self) -> dict[str, Any]:
        """What the row of its track holds."""
        hits = {"hits": [_rounded(late_s, 3) for late_s in self.hit_errors_s]} if self.hit_errors_s else {}
        return hits | {
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
    gain_db: float | None = None
    """By which the raw track was raised, before the limiter; None for silence."""
    master: bytes | None = None
    """A FLAC with every sample, where `data` does not hold them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A video with music under it, ready for upload."""

    file: Path
    facts: Facts = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What it has otherwise than asked, in sentences for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A track handed over, file by file."""

    files: Mapping[str, Path]
    """By their names in the zip."""
    stems: Mapping[str, Path] = field(default_factory=dict)
    """FLACs of what it is made of, likewise."""
    facts: Facts = field(default_factory=dict)
    """What the track says of where it comes from, and each stem."""
    notes: tuple[str, ...] = ()
    """What is missing, in sentences for the user."""
