"""Graphs: what is noted, captured and replayed. Recording itself needs a GPU; here it is played by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from worker.engines.mmaudio.graphs import NOTED, Graphs


class Played:
    """Stands in for a CUDA graph: runs again on the memory it was recorded with, and writes where it wrote."""

    def __init__(self, made) -> None:
        self.made = made

    def replay(self) -> None:
        self.made.answer.copy_(self.made.run(*self.made.fresh, *self.made.lasting))


class Network:
    """Adds and multiplies; counts how often it is asked from outside a graph."""

    def __init__(self) -> None:
        self.eager = 0

    def __call__(self, x: Tensor, rows: Tensor) -> Tensor:
        self.eager += 1
        return 2 * x + rows


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Graphs:
    made = Graphs("cpu")

    def record(graph) -> None:
        graph.answer, graph.graph = graph.run(*graph.fresh, *graph.lasting), Played(graph)

    monkeypatch.setattr(made, "_record", record)
    return made


def test_a_shape_runs_as_it_is_until_it_is_captured(graphs: Graphs):
    """At first sight nothing is recorded; after the quiet moment the graph answers, for new tensors and for other lasting ones."""
    network, x, rows = Network(), torch.ones(3), torch.ones(3)
    assert torch.equal(graphs("n", network, (x,), (rows,)), torch.full((3,), 3.0))
    assert graphs.capture() == 1
    assert graphs.capture() == 0
    for value, row in ((5.0, rows), (6.0, rows), (7.0, torch.zeros(3))):
        answer = graphs("n", network, (torch.full((3,), value),), (row,))
        assert torch.equal(answer, 2 * torch.full((3,), value) + row)
    assert graphs("n", network, (torch.ones(4),), (torch.ones(4),)).shape == (4,)


def test_captures_stop_when_a_job_comes(graphs: Graphs):
    """One shape at a time, and none once `go_on()` is false; the rest waits for the next quiet moment."""
    network = Network()
    for size in (1, 2, 3):
        graphs("n", network, (torch.ones(size),), (torch.ones(size),))
    left = [True, False]
    assert graphs.capture(lambda: left.pop(0)) == 1
    assert graphs.capture() == 2


def test_only_so_many_shapes_wait(graphs: Graphs):
    """Of many lengths the latest are captured: what waits holds memory."""
    network = Network()
    for size in range(1, NOTED + 4):
        graphs("n", network, (torch.ones(size),), (torch.ones(size),))
    assert graphs.capture() == NOTED


def test_what_cannot_be_recorded_runs_as_it_is(graphs: Graphs, monkeypatch: pytest.MonkeyPatch, caplog):
    """It is told once and not tried again; where memory ends, what waited goes and what is captured stays."""
    network, given = Network(), ((torch.ones(2),), (torch.ones(2),))

    def refuse(graph) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(graphs, "_record", refuse)
    graphs("n", network, *given)
    assert graphs.capture() == 0
    graphs("n", network, *given)
    assert graphs.capture() == 0
    assert caplog.text.count("running it as it is") == 1

    def exhausted(graph) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(graphs, "_record", exhausted)
    for name in ("other", "another"):
        graphs(name, network, *given)
    assert graphs.capture() == 0
    assert graphs.capture() == 0
    assert caplog.text.count("running it as it is") == 2


def test_elsewhere_nothing_is_noted():
    """On a device without graphs everything runs as it is."""
    graphs, network = Graphs(), Network()
    graphs("n", network, (torch.ones(2),), (torch.ones(2),))
    assert (graphs.capture(), network.eager) == (0, 1)
