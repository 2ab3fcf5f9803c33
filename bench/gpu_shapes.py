"""What the length of a film costs: other films than the usual one, and capturing a graph for each shape."""

from __future__ import annotations

from dataclasses import replace

import torch
from gpu_clock import wall_s
from gpu_stand import Stand

from worker.pipeline.mmaudio.graphs import Graphs
from worker.pipeline.mmaudio.runtime import Runtime


def films(stand: Stand) -> tuple[bool, str]:
    """A length at first sight, whole and again at the second."""
    words = []
    for seconds in stand.sizes.films:
        first = stand.timed_job(seconds)
        second, again = stand.timed_job(seconds, "second"), stand.timed_job(seconds, "second")
        found = {
            name: {"first_track_s": made[0][1], "all_s": made[-1][1]}
            for name, made in (("first_sight", first), ("whole", second), ("again", again))
        }
        stand.note(**{f"{seconds:g} s": found}, **stand.memory())
        took = " / ".join(f"{each['all_s']:.2f}" for each in found.values())
        words.append(f"{seconds:g} s: {took} s")
    return True, f"first sight / whole / again: {'; '.join(words)}"


def capture(stand: Stand) -> tuple[bool, str]:
    """Each shape's graph, captured anew: the difference between a first and a second job of one step, and the memory it keeps."""
    runtime, words = stand.runtime, []
    usual = runtime.velocity
    try:
        for seconds in stand.sizes.captured:
            stand.job(seconds, f"capture {seconds}")  # all else of this length is known
            if stand.on_gpu:
                runtime.velocity = Graphs()
                torch.cuda.empty_cache()
            before = stand.memory()["reserved_mb"]
            first_s, second_s = (wall_s(stand.device, lambda: _sampled(stand, runtime, seconds)) for _ in range(2))  # noqa: B023
            kept = stand.memory()["reserved_mb"] - before
            stand.note(**{f"{seconds:g} s": {"capture_s": first_s - second_s, "step_s": second_s, "reserved_mb": kept}})
            words.append(f"{seconds:g} s: {first_s - second_s:.2f} s, {kept:.0f} MB")
    finally:
        runtime.velocity = usual
    if stand.on_gpu and isinstance(usual, Graphs):
        usual.forget()
        warmed_s = wall_s(stand.device, stand.engine.warm)
        stand.note(warm_again_s=warmed_s)
        words.append(f"warming all usual lengths {warmed_s:.1f} s")
    return True, "; ".join(words)


@torch.inference_mode()
def _sampled(stand: Stand, runtime: Runtime, seconds: float) -> None:
    """One step of a job with empty features, so that nothing but the network counts."""
    from worker.pipeline.mmaudio.sampling import Sampler
    from worker.pipeline.mmaudio.windows import lay

    windows = lay(seconds, stand.model.rate)
    texts = runtime.read(["capture"] * stand.sizes.variants)
    score = runtime.score(windows, None, texts, "", range(stand.sizes.variants))
    runtime.sample(score, replace(Sampler(), steps=1), lambda: False)
