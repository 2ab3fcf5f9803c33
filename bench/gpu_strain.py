"""What a worker must stand: a minute of jobs of changing lengths, memory that runs out, and users who change their minds."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from gpu_stand import Stand, apart

from worker.domain import Track
from worker.engines.mmaudio.batching import Batching
from worker.engines.mmaudio.engine import MMAudioEngine
from worker.errors import Cancelled, Unavailable

GROWTH_MB = 16.0
"""What the second half of the minute may add to what tensors hold; films and captions are the same ones in both."""
EQUAL = 1e-2
"""How far the same job may be from itself in another batch."""
CANCELS_AT = (0.05, 0.2, 0.4, 0.6)
"""In parts of a whole job."""


def alternating(stand: Stand) -> tuple[bool, str]:
    """Two users take turns with lengths drawn anew for each job; what one sends is known, what the other sends is watched."""
    sizes, draw = stand.sizes, random.Random(0)
    for seconds in sizes.alternating:
        for name in ("a", "b"):
            stand.job(seconds, f"{name} {seconds}", seed=7)
        stand.rest()
    seen: list[dict[str, float]] = []
    started = time.monotonic()
    while (at := time.monotonic() - started) < sizes.alternating_s:
        seconds, name = draw.choice(sizes.alternating), "ab"[len(seen) % 2]
        begun = time.perf_counter()
        new = MMAudioEngine(stand.runtime) if name == "b" else None
        first_s = stand.timed_job(seconds, f"{name} {seconds}", seed=7, engine=new)[0][1]
        took_s = time.perf_counter() - begun
        stand.rest()
        seen.append(
            {
                "at_s": at,
                "seconds": seconds,
                "took_s": took_s,
                "first_track_s": first_s,
                "known": name == "a",
                **stand.memory(),
            }
        )
        if len(seen) % 10 == 0:
            stand.note(jobs=len(seen), last=seen[-1])
    half = max(1, len(seen) // 2)
    growth = {
        key: max(job[key] for job in seen[half:] or seen) - max(job[key] for job in seen[:half])
        for key in stand.memory()
    }
    took = {f"{s:g} s": sorted(job["took_s"] for job in seen if job["seconds"] == s) for s in sizes.alternating}
    spread = {name: {"best_s": some[0], "worst_s": some[-1]} for name, some in took.items() if some}
    stand.note(jobs=len(seen), growth=growth, first=seen[0], last=seen[-1], took=spread, every_tenth=seen[::10])
    words = f"{len(seen)} jobs, host {growth['host_mb']:+.1f} MB, allocated {growth['allocated_mb']:+.1f} MB, reserved {growth['reserved_mb']:+.1f} MB"
    return growth["allocated_mb"] <= GROWTH_MB, words


@contextmanager
def _short_of_memory(stand: Stand, margin_mb: int, *, ballast: bool) -> Iterator[None]:
    """Only so much is left: by the allocator's own limit, or because something else takes it; on a CPU a network that refuses.

    Batches and graphs are as on a first day, and afterwards again.
    """
    runtime, usual = stand.runtime, stand.runtime.velocity
    runtime.batching = Batching(make_room=runtime.graphs.forget)
    if not stand.on_gpu:
        runtime.velocity = _refusing(usual, margin_mb)
        try:
            yield
        finally:
            runtime.velocity, runtime.batching = usual, Batching(make_room=runtime.graphs.forget)
        return
    runtime.graphs.forget()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    margin, held = margin_mb * 10**6, None
    if ballast:
        held = torch.empty(max(1, free - margin), dtype=torch.uint8, device=stand.device)
    else:
        torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + margin) / total))
    try:
        yield
    finally:
        del held
        torch.cuda.set_per_process_memory_fraction(1.0)
        runtime.batching = Batching(make_room=runtime.graphs.forget)
        runtime.graphs.forget()
        torch.cuda.empty_cache()


def _refusing(usual, most: int):
    """A network for which more than `most` latents are too many."""

    def velocity(evaluation, x, rows, batch):
        if len(x) >= most:
            raise torch.OutOfMemoryError
        return usual(evaluation, x, rows, batch)

    return velocity


def oom_cancel(stand: Stand) -> tuple[bool, str]:
    """Short of memory a job comes out smaller or is refused, cancelled it ends; and the next one is what it always was."""
    seconds, good, words = stand.sizes.seconds, True, []
    stand.job(seconds, "strained", seed=7)
    begun = time.perf_counter()
    wanted = stand.job(seconds, "strained", seed=7)
    took_s = time.perf_counter() - begun
    trials = []
    for ballast in (False, True):
        for margin_mb in stand.sizes.margins_mb:
            trial = {"left_mb": margin_mb, "by": "ballast" if ballast else "limit"} | _strained(
                stand, wanted, margin_mb, ballast=ballast
            )
            after = stand.timed_job(seconds, "strained", seed=7)
            trial |= {"next_apart": apart([track for track, _ in after], wanted), "next_s": after[-1][1]}
            good &= trial["outcome"] in {"came out", "unavailable"} and trial["next_apart"] <= EQUAL
            trials.append(trial)
            stand.note(memory=trials)
    outcomes = [f"{trial['left_mb']} MB {trial['outcome']}" for trial in trials]
    words.append(", ".join(outcomes))
    stand.rest()
    cancels = [_cancelled(stand, part * took_s) for part in CANCELS_AT]
    stand.note(cancels=cancels)
    after = apart(stand.job(seconds, "strained", seed=7), wanted)
    late = max(cancel["ended_after_s"] for cancel in cancels)
    ended = [cancel["outcome"] for cancel in cancels]
    good &= after <= EQUAL
    # A rehearsal's jobs take a fifth of a second, and a busy processor delays the clock that cancels them by more.
    if stand.on_gpu:
        good &= ended[0] == "cancelled" and "came out" not in ended
    stand.note(after_cancels_apart=after, latest_end_s=late)
    return good, f"{words[0]}; cancelled jobs end within {1e3 * late:.0f} ms, the next is {after:.0e} apart"


def _strained(stand: Stand, wanted: list[Track], margin_mb: int, *, ballast: bool) -> dict[str, object]:
    """What became of a job with so much memory left."""
    seconds = stand.sizes.seconds
    with _short_of_memory(stand, margin_mb, ballast=ballast):
        begun = time.perf_counter()
        try:
            made = stand.job(seconds, "strained", seed=7)
            found = {"outcome": "came out", "apart": apart(made, wanted)}
            found["captured"] = _captures(stand)
        except Unavailable as error:
            found = {"outcome": "unavailable", "said": str(error)}
        except Exception as error:  # noqa: BLE001
            found = {"outcome": f"broke: {type(error).__name__}", "said": str(error)[:300]}
        return found | {"took_s": time.perf_counter() - begun, "batch": stand.runtime.batching.size}


def _captures(stand: Stand) -> bool:
    """Whether memory is enough for the graphs of the shapes that came; if not, the worker goes on without."""
    try:
        stand.rest()
    except Unavailable:
        return False
    return True


def _cancelled(stand: Stand, after_s: float) -> dict[str, object]:
    """A job of a new film that is cancelled so many seconds after its start: how long it goes on."""
    asked_at: list[float] = []
    timer = threading.Timer(after_s, lambda: asked_at.append(time.perf_counter()))
    timer.start()
    begun = time.perf_counter()
    try:
        stand.job(stand.sizes.seconds, cancelled=lambda: bool(asked_at))
        # A job that is faster than the one that set the clock is nearly over, or over, when it is asked to end.
        over = time.perf_counter()
        outcome = "came out" if asked_at and over - asked_at[0] > (over - begun) / 4 else "over before"
    except Cancelled as error:
        outcome = "cancelled"
        where = str(error)
    timer.cancel()
    ended = time.perf_counter()
    return {
        "outcome": outcome,
        "asked_after_s": after_s,
        "ended_after_s": ended - asked_at[0] if asked_at else 0.0,
        "where": where if outcome == "cancelled" else "",
    }
