"""Cues: all that an editor or a program wants to know of a film and its track, as `cues.json` says it (docs/handover.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worker.domain import Anatomy, Clip, Plan
from worker.pipeline.origin import generator

_OF_TRACK = (
    "title", "prompt", "description", "engine", "model", "describer", "seed", "duration", "bpm", "key", "loudness_lufs",
    "true_peak_db", "licence", "fit", "mended",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Cues:
    clip: Clip
    film: str
    """Its address, without what is behind a question mark: keys may stand there."""
    plan: Plan
    told: Mapping[str, Any]
    """Of the track, as answers tell it."""
    beats_s: tuple[float, ...]
    """As they are heard."""
    anatomy: Anatomy | None
    """Where the track can be taken apart."""

    @property
    def track_s(self) -> float:
        return float(self.told["duration"])

    @property
    def bars_s(self) -> tuple[float, ...]:
        return self.anatomy.bars_s if self.anatomy else ()

    def json(self) -> dict[str, Any]:
        clip, sections = self.clip, self.anatomy.sections if self.anatomy else None
        return {
            "generator": generator(),
            "film": {
                "url": self.film,
                "duration": clip.duration_s,
                "fps": clip.fps,
                "cuts": [round(cut_s, 4) for cut_s in clip.cuts_s],
                "speech": [{"start": span.start_s, "end": span.end_s} for span in clip.speech],
            },
            "track": {name: self.told.get(name) for name in _OF_TRACK},
            "beats": list(self.beats_s),
            "bars": [round(bar_s, 4) for bar_s in self.bars_s] or None,
            "sections": [{"start": round(at_s, 4), "energy": round(energy, 3)} for at_s, energy in sections]
            if sections
            else None,
            "hits": [{"at": hit.at_s, "kind": hit.kind} for hit in self.plan.hits],
            "segments": [
                {"start": segment.start_s, "prompt": segment.prompt, "energy": segment.energy}
                for segment in self.plan.segments
            ],
        }
