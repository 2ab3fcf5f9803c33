"""Replays the network from CUDA graphs, one for each shape: thousands of kernels become one launch a step."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.pipeline.mmaudio.evaluation import Evaluation, Rows, Stage
from worker.pipeline.mmaudio.features import Shelf

log = logging.getLogger(__name__)

Shape = tuple[object, ...]
KEPT = 8
"""Graphs kept at once; each holds the activations of its shape."""


@dataclass(slots=True)
class _Captured:
    """A graph with the memory it reads and writes."""

    graph: torch.cuda.CUDAGraph
    x: Tensor
    rows: Rows
    stage: Stage
    velocity: Tensor
    loaded: Stage | None = None
    """Whose conditions are in `stage` now."""


class Graphs:
    """Callable like `Evaluation.velocity`. A shape that cannot be captured is evaluated eagerly from then on."""

    def __init__(self) -> None:
        self._captured: Shelf[Shape, _Captured] = Shelf(KEPT)
        self._eager: set[Shape] = set()

    def forget(self) -> None:
        """Let go of every graph: each holds memory of its own that nobody else can use."""
        self._captured = Shelf(KEPT)

    def __call__(self, evaluation: Evaluation, x: Tensor, rows: Rows, stage: Stage) -> Tensor:
        shape = (*x.shape, *rows.latent.shape, *stage.clip.shape, stage.copies)
        if not x.is_cuda or shape in self._eager:
            return evaluation.velocity(x, rows, stage)
        captured = self._captured.get(shape)
        if captured is None:
            try:
                captured = self._captured.put(shape, _capture(evaluation, x, rows, stage))
            except torch.OutOfMemoryError:
                self.forget()
                raise
            except RuntimeError as error:
                log.warning("no CUDA graph for shape %s, evaluating eagerly: %s", shape, error)
                self._eager.add(shape)
                return evaluation.velocity(x, rows, stage)
        if captured.loaded is not stage:
            for name in ("clip", "text", "place"):
                getattr(captured.stage, name).copy_(getattr(stage, name))
            captured.loaded = stage
        captured.x.copy_(x)
        for name in Rows.__slots__:
            getattr(captured.rows, name).copy_(getattr(rows, name))
        captured.graph.replay()
        return captured.velocity


def _capture(evaluation: Evaluation, x: Tensor, rows: Rows, stage: Stage) -> _Captured:
    """Warm up beside the current stream, as capturing asks for, then record."""
    own_x, own_rows = x.clone(), Rows(*(getattr(rows, name).clone() for name in Rows.__slots__))
    own_stage = stage.copied()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            evaluation.velocity(own_x, own_rows, own_stage)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # The outer context brings the current stream back also where the end of capturing raises.
    with (
        torch.cuda.stream(torch.cuda.current_stream()),
        torch.cuda.graph(graph, capture_error_mode="thread_local"),  # others may allocate meanwhile
    ):
        velocity = evaluation.velocity(own_x, own_rows, own_stage)
    return _Captured(graph, own_x, own_rows, own_stage, velocity)
