"""A procedural composer: for laptops, tests and pages under development."""

from worker.engines.sketch.engine import SketchEngine

__all__ = ["SketchEngine"]
