"""From directions to the plan that is saved: each variant has its place and its seed."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace

from worker.domain import Direction, Hit, Options, Plan, Variant

SEED_STEP = 0x9E3779B1
"""Golden ratio of 2^32: variant i of seed s has seed s + i times this, so variant 0 has s itself."""


def derive_seed(seed: int, index: int) -> int:
    """The seed of a variant, 0..2^32-1."""
    return (seed + index * SEED_STEP) % 2**32


def planned(directions: Sequence[Direction], describer: str, options: Options, proposed: Sequence[Hit] = ()) -> Plan:
    """The plan of a job; without a seed it gets one, and without hits those that the director has proposed."""
    seed = secrets.randbits(32) if options.seed is None else options.seed
    hits = proposed if options.hits is None else options.hits
    variants = (
        Variant(index=i, seed=derive_seed(seed, i), direction=direction) for i, direction in enumerate(directions)
    )
    return Plan(variants=tuple(variants), describer=describer, hits=tuple(hits), segments=options.segments)


def unmet(plan: Plan, duration_s: float) -> str | None:
    """What is said of moments and segments for which the film is too short."""
    behind = [("hit", hit.at_s) for hit in plan.hits] + [("segment", segment.start_s) for segment in plan.segments]
    told = dict.fromkeys(f"the {what} at {at_s:g} s" for what, at_s in behind if at_s >= duration_s)
    return f"The music ends at {duration_s:g} s: it leaves out {', '.join(told)}." if told else None


def for_speech(direction: Direction, fit: Callable[[str], str]) -> Direction:
    """Music under words: engines that go by a caption are told to leave room. `fit` trims it to what they see."""
    prompt = direction.prompt
    return direction if "sparse" in prompt else replace(direction, prompt=fit(f"sparse {prompt}"))
