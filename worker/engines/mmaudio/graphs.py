"""Replays what a GPU does from CUDA graphs, one for each shape: thousands of kernels become one launch.

A shape that comes for the first time runs as it is and is only noted; `capture` records what was noted, at start or in a
quiet moment between jobs, so that no job waits for it. All graphs share one pool of memory and one side stream: they never
run at the same time, and whoever calls one reads its answer before the next is replayed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from worker.engines.device import out_of_memory
from worker.engines.mmaudio.evaluation import Batch, Evaluation, Rows
from worker.engines.mmaudio.lru_cache import LruCache

log = logging.getLogger(__name__)

_Key = tuple[object, ...]
KEPT = 24
"""Graphs kept at once: eight lengths of film with the network, VAE and vocoder of each."""
NOTED = 8
"""Shapes that wait to be captured: a long film's. The rows of one step, which one of them holds, take 130 MB for the largest model."""


@dataclass(slots=True)
class _Graph:
    """A function of tensors with the memory it reads; once captured, also the graph and the memory it writes."""

    run: Callable[..., Tensor]
    fresh: tuple[Tensor, ...]
    lasting: tuple[Tensor, ...]
    loaded: tuple[Tensor, ...]
    """Whose lasting tensors are in `lasting` now."""
    graph: torch.cuda.CUDAGraph | None = None
    answer: Tensor | None = None

    def replay(self, fresh: tuple[Tensor, ...], lasting: tuple[Tensor, ...]) -> Tensor:
        assert self.graph is not None
        assert self.answer is not None
        if any(a is not b for a, b in zip(self.loaded, lasting, strict=True)):
            for own, given in zip(self.lasting, lasting, strict=True):
                own.copy_(given)
            self.loaded = lasting
        for own, given in zip(self.fresh, fresh, strict=True):
            own.copy_(given)
        self.graph.replay()
        return self.answer


class Graphs:
    """Graphs by name and shape. What cannot be captured runs as it is from then on; on a CPU everything does."""

    def __init__(self, device_type: str = "cuda") -> None:
        self._device_type = device_type
        self._captured: LruCache[_Key, _Graph] = LruCache(KEPT)
        self._noted: LruCache[_Key, _Graph] = LruCache(NOTED)
        self._refused: set[_Key] = set()
        self._side: torch.cuda.Stream | None = None
        self._pool: Any = None

    def forget(self) -> bool:
        """Let go of every graph and of what was noted: they hold memory that nobody else can use. Whether there were any."""
        some = bool(len(self._captured) or len(self._noted))
        self._captured, self._noted, self._pool = LruCache(KEPT), LruCache(NOTED), None
        return some

    def __call__(
        self, name: str, run: Callable[..., Tensor], fresh: tuple[Tensor, ...], lasting: tuple[Tensor, ...] = ()
    ) -> Tensor:
        """`run(*fresh, *lasting)`; `fresh` tensors are new at every call, `lasting` ones stay the same objects for a while.

        The answer of a replay is overwritten by the next one: read it before.
        """
        if fresh[0].device.type != self._device_type:
            return run(*fresh, *lasting)
        key = (name, *(tensor.shape for tensor in (*fresh, *lasting)), fresh[0].device)
        if (captured := self._captured.get(key)) is not None:
            return captured.replay(fresh, lasting)
        answer = run(*fresh, *lasting)
        if key not in self._refused and self._noted.get(key) is None:
            with suppress(torch.OutOfMemoryError):  # the job has its answer, and goes on without a graph
                own = tuple(t.clone() for t in fresh), tuple(t.clone() for t in lasting)
                self._noted.put(key, _Graph(run, *own, loaded=lasting))
        return answer

    def velocity(self, evaluation: Evaluation, x: Tensor, rows: Rows, batch: Batch) -> Tensor:
        """`evaluation.velocity(x, rows, batch)`."""

        def run(
            x: Tensor, latent: Tensor, stream: Tensor, final: Tensor, clip: Tensor, text: Tensor, place: Tensor
        ) -> Tensor:
            return evaluation.velocity(
                x, Rows(latent, stream, final), replace(batch, clip=clip, text=text, place=place)
            )

        return self("velocity", run, (x, rows.latent, rows.stream, rows.final), (batch.clip, batch.text, batch.place))

    def capture(self, go_on: Callable[[], bool] = lambda: True) -> int:
        """Record what was noted, one shape after the other while `go_on()`; how many were.

        Where memory ends capturing ends: the graphs there are stay, and what did not fit runs as it is.
        """
        count = 0
        while go_on() and (noted := self._noted.pop()) is not None:
            key, made = noted
            try:
                self._record(made)
            except RuntimeError as error:
                log.warning("no CUDA graph for %s, running it as it is: %s", key, error)
                self._refused.add(key)
                if out_of_memory(error):
                    self._noted = LruCache(NOTED)
                    break
                continue
            self._captured.put(key, made)
            count += 1
        return count

    def _record(self, made: _Graph) -> None:
        """Warm up beside the current stream, as capturing asks for, then record."""
        if self._side is None:
            self._side = torch.cuda.Stream()
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side):
            made.run(*made.fresh, *made.lasting)
        graph = torch.cuda.CUDAGraph()
        # The outer context brings the current stream back also where the end of capturing raises.
        with (
            torch.cuda.stream(torch.cuda.current_stream()),
            # Others may allocate meanwhile.
            torch.cuda.graph(graph, pool=self._pool, stream=self._side, capture_error_mode="thread_local"),
        ):
            made.answer = made.run(*made.fresh, *made.lasting)
        torch.cuda.current_stream().wait_stream(self._side)
        made.graph = graph
