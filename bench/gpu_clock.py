"""Seconds of device work: by events where there are any, by the host's clock elsewhere."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch

Call = Callable[[], object]


def waited(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def wall_s(device: torch.device, run: Call) -> float:
    """One call, from an idle device to an idle device."""
    waited(device)
    started = time.perf_counter()
    run()
    waited(device)
    return time.perf_counter() - started


def walls(device: torch.device, run: Call, repeats: int) -> dict[str, float]:
    """Best and median of some calls, after one that does not count."""
    run()
    return summed([wall_s(device, run) for _ in range(repeats)])


def summed(times_s: Sequence[float]) -> dict[str, float]:
    return {"best_s": min(times_s), "median_s": statistics.median(times_s), "runs": len(times_s)}


def event_s(device: torch.device, run: Call, repeats: int = 20) -> float:
    """The median of some calls, by events around each, after three that do not count."""
    for _ in range(3):
        run()
    if device.type != "cuda":
        return statistics.median(wall_s(device, run) for _ in range(repeats))
    marks = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeats)]
    for start, end in marks:
        start.record()
        run()
        end.record()
    torch.cuda.synchronize()
    return statistics.median(start.elapsed_time(end) for start, end in marks) / 1e3


def kernel_s(device: torch.device, runs: Sequence[Call]) -> float:
    """A small kernel's seconds: calls over different inputs in one graph, so that neither launches nor a warm cache count."""
    if device.type != "cuda":
        return event_s(device, runs[0], repeats=3)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for run in runs:
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for run in runs:
            run()
    return event_s(device, graph.replay, repeats=10) / len(runs)
