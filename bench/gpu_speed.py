"""How fast a job is, stage by stage and beside the reference way, and which kernels it spends its time in."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from engine_cost import cost
from engine_ours import Ours, film
from engine_reference import Reference
from gpu_clock import summed, wall_s, walls
from gpu_stand import Stand
from torch import Tensor
from torch.profiler import ProfilerActivity

from tests.engine import generated
from worker.domain import Frames
from worker.engines.mmaudio import rendering
from worker.engines.mmaudio.batching import Batching
from worker.engines.mmaudio.copies import on_host
from worker.engines.mmaudio.features import Encoding, Features
from worker.engines.mmaudio.track_loudness import track_lufs

TOP = 30


@torch.inference_mode()
def bench(stand: Stand) -> tuple[bool, str]:
    """One job whole, again with the film's features known, and the reference way; every stage by itself."""
    sizes, device = stand.sizes, stand.device
    captions = [f"instrumental background music, number {i}" for i in range(sizes.variants)]
    frames = film(sizes.seconds)
    ours = Ours(stand.runtime, sizes.seconds, sizes.steps, captions)
    seen = ours.watch(frames)

    def again() -> list[Tensor]:
        ours.forget_texts()
        return ours.render(ours.sample(seen))

    def whole() -> list[Tensor]:
        ours.forget_texts()
        return ours.render(ours.sample(ours.watch(frames)))

    stages = _stages(stand, ours, frames, seen)
    stand.note(seconds=sizes.seconds, variants=sizes.variants, steps=sizes.steps, stages=stages)
    whole()
    stand.rest()
    if stand.on_gpu:
        torch.cuda.reset_peak_memory_stats()
    waves = whole()
    if stand.on_gpu:
        stand.note(peak_memory_gb=torch.cuda.max_memory_allocated() / 1e9)
    stand.note(whole=walls(device, whole, sizes.repeats), again=walls(device, again, sizes.repeats))
    stand.note(through_the_engine=_through_the_engine(stand))

    reference = Reference(stand.parts(), device, stand.dtype)
    ids, nothing, latents = generated.tokens(captions), generated.tokens([""]), ours.windows.latents

    def the_reference_way() -> list[Tensor]:
        return [
            reference.compose(frames, one[None], nothing, seed, sizes.seconds, latents, sizes.steps)
            for seed, one in enumerate(ids)
        ]

    theirs = the_reference_way()
    apart = max(float((a - b).norm() / b.norm()) for a, b in zip(waves, theirs, strict=True))
    stand.note(apart=apart)
    times: dict[str, list[float]] = {"whole": [], "again": [], "reference": []}
    for turn in range(sizes.turns):
        times["whole"].append(wall_s(device, whole))
        times["again"].append(wall_s(device, again))
        if turn == 0:
            times["reference"].append(wall_s(device, the_reference_way))
    found = {name: summed(some) for name, some in times.items()}
    faster = found["reference"]["best_s"] / found["whole"]["best_s"]
    stand.note(turn_by_turn=found, times_faster=faster)
    stand.note(**_shares(stand, stages, found["whole"]["best_s"]))
    line = f"whole {found['whole']['best_s']:.3f} s, again {found['again']['best_s']:.3f} s, "
    return bool(np.isfinite(apart)), f"{line}{faster:.1f} x the reference way, apart {apart:.1e}"


def _stages(stand: Stand, ours: Ours, frames: list[Frames], seen: Features) -> dict[str, dict[str, float]]:
    runtime, rate = stand.runtime, stand.model.rate

    def sample() -> Tensor:
        ours.forget_texts()
        return ours.sample(seen)

    latents = sample()
    mels = ours.mels(latents)
    waves = [rendering.to_wave(runtime.vocoder, mel, rate.hop) for mel in mels]
    runs: dict[str, Callable[[], object]] = {
        "watch": lambda: ours.watch(frames),
        "watch_by_16": lambda: ours.watch(frames, encoding=Encoding(Batching(16), Batching(8))),
        "watch_by_32": lambda: ours.watch(frames, encoding=Encoding(Batching(32), Batching(12))),
        "watch_by_64": lambda: ours.watch(frames, encoding=Encoding(Batching(64), Batching(24))),
        "watch_clip": lambda: ours.watch(frames, with_sync=False),
        "texts": lambda: (ours.forget_texts(), runtime.read([*ours.captions, "negative"])),
        "sample": sample,
        "vae": lambda: ours.mels(latents),
        "tracks": lambda: [runtime.render(one) for one in latents],
        "vocoder": lambda: [rendering.to_wave(runtime.vocoder, mel, rate.hop) for mel in mels],
        "loudness": lambda: [track_lufs(wave, rate.sample_rate) for wave in waves],
        "copies": lambda: [on_host(wave) for wave in waves],
        "render": lambda: ours.render(latents),
    }
    return {name: walls(stand.device, run, stand.sizes.repeats) for name, run in runs.items()}


def _through_the_engine(stand: Stand) -> dict[str, object]:
    """The same by the face that jobs use: `prepare` is part of whole here, and the first track is there before the last."""
    seconds = stand.sizes.seconds
    wholes = [stand.timed_job(seconds) for _ in range(3)]
    agains = [stand.timed_job(seconds, "known") for _ in range(4)][1:]
    return {
        name: {"first_track_s": min(made[0][1] for made in some), "all_s": min(made[-1][1] for made in some)}
        for name, some in (("whole", wholes), ("again", agains))
    }


def _shares(stand: Stand, stages: dict[str, dict[str, float]], whole_s: float) -> dict[str, object]:
    """Arithmetic over time, as a share of the product that was measured here."""
    sizes, best = stand.sizes, {name: stage["best_s"] for name, stage in stages.items()}
    costs = cost(stand.model, sizes.seconds, sizes.variants, sizes.steps)
    took = {
        "clip": best["watch_clip"],
        "synchformer": best["watch"] - best["watch_clip"],
        "flow": best["sample"],
        "vae": best["vae"],
        "vocoder": best["vocoder"],
    }
    peak = 1e3 * stand.ceilings.tflops  # GFLOP a second
    total = sum(stage["gflop"] for stage in costs.values())
    return {
        "gflop": {name: stage["gflop"] for name, stage in costs.items()},
        "share_of_peak": total / whole_s / peak,
        "share_of_peak_by_stage": {name: costs[name]["gflop"] / max(s, 1e-9) / peak for name, s in took.items()},
    }


def profile(stand: Stand) -> tuple[bool, str]:
    """The kernels that an again and a whole spend their time in, as two tables in a file."""
    seconds, words, texts = stand.sizes.seconds, [], []
    stand.job(seconds, "known")
    stand.rest()
    for name, digest in (("again", "known"), ("whole", None)):
        with torch.profiler.profile(
            activities=[ProfilerActivity.CUDA if stand.on_gpu else ProfilerActivity.CPU]
        ) as seen:
            started = time.perf_counter()
            stand.job(seconds, digest)
            took_s = time.perf_counter() - started
        rows = _rows(seen, {"kernel", "gpu_memcpy", "gpu_memset"} if stand.on_gpu else {"cpu_op"})
        busy_s, launches = sum(row[2] for row in rows) / 1e6, sum(row[1] for row in rows)
        texts.append(_table(f"{name}: {took_s:.3f} s under the profiler", rows, busy_s))
        (stand.out / "profile.txt").write_text("\n".join(texts))
        stand.note(**{name: {"profiled_s": took_s, "kernels_s": busy_s, "launches": launches, "top": rows[:8]}})
        words.append(f"{name}: {launches} kernels, {busy_s:.3f} s of {took_s:.3f} s")
    return launches > 0, "; ".join(words)


def _rows(seen: torch.profiler.profile, kinds: set[str]) -> list[tuple[str, int, float]]:
    """Names, calls and microseconds, the longest first; from the trace, since the profiler's own sums take minutes."""
    found: dict[str, tuple[int, float]] = {}
    with TemporaryDirectory() as folder:
        path = Path(folder, "trace.json")
        seen.export_chrome_trace(str(path))
        for event in json.loads(path.read_text())["traceEvents"]:
            if event.get("cat") in kinds:
                calls, us = found.get(event["name"], (0, 0.0))
                found[event["name"]] = calls + 1, us + event["dur"]
    return sorted(((name, calls, us) for name, (calls, us) in found.items()), key=lambda row: -row[2])


def _table(title: str, rows: list[tuple[str, int, float]], busy_s: float) -> str:
    lines = [title, f"{'ms':>9} {'share':>6} {'calls':>6} {'us each':>8}  kernel"]
    lines += [
        f"{us / 1e3:9.3f} {100 * us / 1e6 / max(busy_s, 1e-9):5.1f}% {calls:6d} {us / calls:8.1f}  {key[:200]}"
        for key, calls, us in rows[:TOP]
    ]
    return "\n".join([*lines, f"{1e3 * busy_s:9.3f} in all, {sum(row[1] for row in rows)} calls", ""])
