"""How a whole clip looks, as a composer would put it: how lively, how glad."""

from dataclasses import dataclass

from worker.domain import Clip


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Levels 0..1 (a pace of 1 is four cuts in ten seconds), rounded so that tiny differences in decoding do not change the music."""

    brightness: float
    saturation: float
    warmth: float
    motion: float
    pace: float

    @property
    def energy(self) -> float:
        return 0.6 * self.motion + 0.4 * self.pace

    @property
    def valence(self) -> float:
        return 0.45 * self.brightness + 0.3 * self.saturation + 0.25 * self.warmth


def look_of(clip: Clip) -> Look:
    """The scenes' levels, weighted by their length; a clip without scenes looks average."""
    weights = [max(1e-3, scene.end_s - scene.start_s) for scene in clip.scenes]
    levels: dict[str, float] = {}
    for name in ("brightness", "saturation", "warmth", "motion"):
        total = sum(weight * getattr(scene, name) for weight, scene in zip(weights, clip.scenes, strict=True))
        levels[name] = round(min(1.0, max(0.0, total / sum(weights))), 2) if weights else 0.5
    pace = min(1.0, 10 * len(clip.cuts_s) / max(1.0, clip.duration_s) / 4)
    return Look(pace=round(pace, 2), **levels)
