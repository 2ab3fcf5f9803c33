"""Memory that runs out while a film is sampled, and the batch that shrinks and grows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.engine.test_mmaudio_sampling import FILM_S, flow, local, never, prepared

__all__ = ["flow"]
from worker.engines.mmaudio.batching import GOOD_JOBS, ROWS_BUDGET, Batching
from worker.engines.mmaudio.flow import Flow
from worker.engines.mmaudio.lengths import RATE_44K
from worker.engines.mmaudio.sampling import EulerSolver, Sampler
from worker.engines.mmaudio.windows import lay, single
from worker.errors import Unavailable


@torch.inference_mode()
def test_out_of_memory_halves_the_batch_and_is_remembered(flow: Flow):
    """A batch that does not fit is halved until it does; the next job starts with the size that fits."""
    tried: list[int] = []

    def small(evaluation, x: Tensor, rows, batch) -> Tensor:
        tried.append(len(x))
        if len(x) > 2:
            raise torch.OutOfMemoryError
        return local(evaluation, x, rows, batch)

    windows, batching = lay(FILM_S, RATE_44K), Batching(8)
    made = EulerSolver(flow, prepared(flow, windows, [1, 2, 3]), Sampler(steps=2), small)(batching, never)
    whole = EulerSolver(flow, prepared(flow, windows, [1, 2, 3]), Sampler(steps=2), local)(Batching(8), never)
    assert tried[:3] == [8, 4, 2]
    assert batching.size == 2
    assert batching.rows_budget == ROWS_BUDGET // 4
    assert torch.equal(made, whole)


@torch.inference_mode()
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        torch.AcceleratorError("CUDA error: out of memory", 2),
    ],
    ids=lambda error: type(error).__name__,
)
def test_room_is_made_before_the_batch_is_halved(flow: Flow, error: RuntimeError):
    """Whoever says that memory ran out: what only saves time is let go of and the same size is tried again, once a job."""
    tried: list[int] = []
    room: list[bool] = []

    def crowded(evaluation, x: Tensor, rows, batch) -> Tensor:
        tried.append(len(x))
        if not room:
            raise error
        return local(evaluation, x, rows, batch)

    def make_room() -> bool:
        room.append(True)
        return True

    windows, batching = lay(FILM_S, RATE_44K), Batching(8, make_room)
    EulerSolver(flow, prepared(flow, windows, [1, 2, 3]), Sampler(steps=2), crowded)(batching, never)
    assert set(tried) == {8}
    assert (batching.size, len(room)) == (8, 1)


@torch.inference_mode()
def test_another_error_of_the_device_is_not_taken_for_a_want_of_memory(flow: Flow):
    """Guards the words by which a want of memory is known: an illegal access is not tried again in smaller pieces."""

    def broken(evaluation, x: Tensor, rows, batch) -> Tensor:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal memory access"):
        EulerSolver(flow, prepared(flow, single(2.0, RATE_44K), [1]), Sampler(), broken)(Batching(), never)


@torch.inference_mode()
def test_the_batch_grows_back_after_some_good_jobs(flow: Flow):
    """One want of memory costs some jobs their speed, not all that come: sizes double until the first one is reached again."""
    batching, scarce, sizes = Batching(8), [True], []

    def sometimes(evaluation, x: Tensor, rows, batch) -> Tensor:
        sizes.append(len(x))
        if scarce and len(x) > 2:
            raise torch.OutOfMemoryError
        return local(evaluation, x, rows, batch)

    def run_jobs(count: int) -> list[int]:
        sizes.clear()
        for _ in range(count):
            windows = lay(FILM_S, RATE_44K)
            EulerSolver(flow, prepared(flow, windows, [1, 2, 3]), Sampler(steps=1), sometimes)(batching, never)
        return sorted(set(sizes), reverse=True)

    assert run_jobs(1) == [8, 4, 2]
    scarce.clear()
    assert run_jobs(GOOD_JOBS - 1) == [2]
    assert run_jobs(GOOD_JOBS) == [4]
    assert run_jobs(1) == [8]
    assert batching.rows_budget == ROWS_BUDGET


def test_a_batch_that_grew_too_early_waits_for_longer():
    """Where memory stays scarce the larger size is tried more and more seldom."""
    batching = Batching(8)
    batching.shrink(8, first=True)
    waits = []
    for _ in range(6):
        jobs = 0
        while batching.size == 4:
            batching.job_done()
            jobs += 1
        waits.append(jobs)
        batching.shrink(8, first=True)
    assert waits == [5, 10, 20, 40, 80, 80]


@torch.inference_mode()
def test_no_memory_for_one_window_is_unavailable(flow: Flow):
    """When a single window does not fit, the job may be retried elsewhere."""

    def none(evaluation, x: Tensor, rows, batch) -> Tensor:
        raise torch.OutOfMemoryError

    with pytest.raises(Unavailable, match="out of memory"):
        EulerSolver(flow, prepared(flow, single(2.0, RATE_44K), [1, 2]), Sampler(), none)(Batching(), never)
