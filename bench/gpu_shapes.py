"""What the length of a film costs: other films than the usual one, and capturing graphs for each shape."""

from __future__ import annotations

from gpu_clock import wall_s
from gpu_stand import Stand


def films(stand: Stand) -> tuple[bool, str]:
    """A length at first sight, and at the second, whole and again."""
    words = []
    for seconds in stand.sizes.films:
        first = stand.timed_job(seconds)
        rest_s = stand.rest()
        second, again = stand.timed_job(seconds, "second"), stand.timed_job(seconds, "second")
        found = {
            name: {"first_track_s": made[0][1], "all_s": made[-1][1]}
            for name, made in (("first_sight", first), ("whole", second), ("again", again))
        }
        stand.note(**{f"{seconds:g} s": found | {"rest_s": rest_s}}, **stand.memory())
        took = " / ".join(f"{each['all_s']:.2f}" for each in found.values())
        words.append(f"{seconds:g} s: {took} s")
    return True, f"first sight / whole / again: {'; '.join(words)}"


def capture(stand: Stand) -> tuple[bool, str]:
    """Each shape's graphs, captured anew: how long it takes, the memory they keep, and what they spare a job."""
    words = []
    for seconds in stand.sizes.captured:
        digest = f"capture {seconds}"
        stand.job(seconds, digest)  # all else of this length is known
        stand.runtime.graphs.forget()
        before = stand.held_mb()
        eager = stand.timed_job(seconds, digest)
        capture_s = stand.rest()
        kept = stand.held_mb() - before
        stand.job(seconds, digest)
        replayed = stand.timed_job(seconds, digest)
        stand.note(
            **{
                f"{seconds:g} s": {
                    "capture_s": capture_s,
                    "eager_s": eager[-1][1],
                    "replayed_s": replayed[-1][1],
                    "replayed_first_track_s": replayed[0][1],
                    "reserved_mb": kept,
                }
            }
        )
        words.append(
            f"{seconds:g} s: {capture_s:.2f} s, again {eager[-1][1]:.2f} -> {replayed[-1][1]:.2f} s, {kept:.0f} MB"
        )
    if stand.on_gpu:
        stand.runtime.graphs.forget()
        warmed_s = wall_s(stand.device, stand.engine.warm)
        stand.note(warm_again_s=warmed_s)
        words.append(f"warming all usual lengths {warmed_s:.1f} s")
    return True, "; ".join(words)
