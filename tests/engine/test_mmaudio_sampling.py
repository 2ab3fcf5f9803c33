"""Euler steps, guidance, windows: what holds whatever the network says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.engine import generated
from tests.engine.tiny import TINY
from worker.engines.mmaudio.batching import Batching
from worker.engines.mmaudio.flow import Conditions, Flow
from worker.engines.mmaudio.layers import fuse
from worker.engines.mmaudio.lengths import RATE_44K
from worker.engines.mmaudio.sampling import EulerSolver, Prepared, Sampler, noise
from worker.engines.mmaudio.windows import Windows, lay, single
from worker.errors import Cancelled

FILM_S = 21.0


@pytest.fixture(scope="module")
def flow() -> Flow:
    network = generated.flow(TINY.flow)
    fuse(network)
    return network


def prepared(flow: Flow, windows: Windows, seeds: list[int]) -> Prepared:
    empty = flow.condition(
        flow.empty_clip(windows.clip_length), flow.empty_sync(windows.sync_length), flow.empty_text()
    )
    asked = empty.take(torch.zeros(len(seeds) * len(windows), dtype=torch.int64))
    start = noise(seeds, windows.latents, flow.shape.latent)
    return Prepared(seeds=seeds, noise=start, windows=windows, asked=asked, empty=empty, silent=True)


def local(evaluation, x: Tensor, rows, batch) -> Tensor:
    """A made-up network: some nonlinear function of each latent frame, twice that without a condition."""
    v = torch.sin(3 * x) - x
    return torch.cat([v, 2 * v]) if batch.copies == 2 else v


def never() -> bool:
    return False


@torch.inference_mode()
def test_one_window_is_the_plain_sampler_bitwise(flow: Flow):
    """A film of up to ten seconds is sampled exactly as by a loop over Euler steps."""
    windows, sampler = single(2.0, RATE_44K), Sampler(steps=6, guidance=3.0)
    made = EulerSolver(flow, prepared(flow, windows, [5]), sampler, local)(Batching(), never)
    x, times = noise([5], windows.latents, flow.shape.latent), torch.linspace(0, 1, 7)
    for i in range(6):
        v = torch.sin(3 * x) - x
        x = x + (times[i + 1] - times[i]) * (3.0 * v + (1 - 3.0) * (2 * v))
    assert torch.equal(made, x)


@pytest.mark.parametrize("duration", [10.1, 12.0, 14.1, 21.0, 60.0, 180.0])
def test_shares_sum_to_one_and_winners_cover(duration: float):
    """Every latent frame is owned once: by shares that sum to one, or by one window that reaches it."""
    windows = lay(duration, RATE_44K)
    assert torch.allclose(windows.shares.sum(dim=0), torch.ones(windows.latents), atol=1e-6)
    winners = windows.winners(3, 4)
    starts = torch.tensor(windows.starts)[winners]
    frames = torch.arange(windows.latents)
    assert ((starts <= frames) & (frames < starts + windows.length)).all()
    won = torch.stack([(winners == k).float().mean(dim=0) for k in range(len(windows))])
    assert torch.equal(won.sum(dim=0), torch.ones(windows.latents))


@torch.inference_mode()
def test_a_constant_velocity_is_integrated_exactly(flow: Flow):
    """Windows that agree leave no trace: noise plus the constant comes out."""

    def constant(evaluation, x: Tensor, rows, batch) -> Tensor:
        return torch.full_like(x, 0.5).repeat(batch.copies, 1, 1)

    windows = lay(FILM_S, RATE_44K)
    asked = prepared(flow, windows, [1, 2])
    made = EulerSolver(flow, asked, Sampler(steps=8), constant)(Batching(), never)
    assert torch.allclose(made, asked.noise + 0.5, atol=1e-6)


@torch.inference_mode()
@pytest.mark.parametrize("size", [1, 3, 7])
def test_the_batch_of_windows_changes_nothing(flow: Flow, size: int):
    """However many windows go through the network together, the latents are the same."""
    windows = lay(FILM_S, RATE_44K)
    runs = [
        EulerSolver(flow, prepared(flow, windows, [1, 2]), Sampler(steps=3), local)(Batching(n), never)
        for n in (size, 100)
    ]
    assert torch.equal(*runs)


@torch.inference_mode()
def test_real_windows_do_not_depend_on_the_batch(flow: Flow):
    """The same with the network itself, within tolerance."""
    windows = lay(FILM_S, RATE_44K)
    runs = [EulerSolver(flow, prepared(flow, windows, [1]), Sampler(steps=2))(Batching(n), never) for n in (2, 8)]
    assert torch.allclose(*runs, atol=2e-5)


@torch.inference_mode()
def test_cancellation_is_asked_at_every_step(flow: Flow):
    """A job cancelled during a step does not begin another one."""
    steps: list[int] = []

    def counted(evaluation, x: Tensor, rows, batch) -> Tensor:
        steps.append(1)
        return local(evaluation, x, rows, batch)

    run = EulerSolver(flow, prepared(flow, single(2.0, RATE_44K), [1]), Sampler(), counted)
    with pytest.raises(Cancelled):
        run(Batching(), lambda: len(steps) == 3)
    assert len(steps) == 3


@torch.inference_mode()
def test_the_host_is_at_most_two_steps_ahead_of_the_device(flow: Flow):
    """Before it asks whether to go on it waits for the step before the last: a device that only queues cannot be cancelled."""
    log: list[str] = []

    class Event:
        def __init__(self) -> None:
            self.step = sum(entry == "step" for entry in log)

        def synchronize(self) -> None:
            log.append(f"{self.step} is done")

    def queued(evaluation, x: Tensor, rows, batch) -> Tensor:
        log.append("step")
        return local(evaluation, x, rows, batch)

    def asked() -> bool:
        log.append("cancelled?")
        return log.count("step") == 4

    run = EulerSolver(flow, prepared(flow, single(2.0, RATE_44K), [1]), Sampler(), queued, Event)
    with pytest.raises(Cancelled):
        run(Batching(), asked)
    begun = ["cancelled?", "step"] * 2
    waited = [entry for n in (1, 2) for entry in (f"{n} is done", "cancelled?", "step")]
    assert log == [*begun, *waited, "3 is done", "cancelled?"]


@torch.inference_mode()
@pytest.mark.parametrize(("guidance", "copies"), [(4.5, 2), (1.0, 1), (0.5, 1)])
def test_guidance_that_cancels_out_costs_nothing(flow: Flow, guidance: float, copies: int):
    """At strength one or below only the conditional pass is evaluated."""
    seen: set[int] = set()

    def watched(evaluation, x: Tensor, rows, batch) -> Tensor:
        seen.add(batch.copies)
        return local(evaluation, x, rows, batch)

    EulerSolver(flow, prepared(flow, single(2.0, RATE_44K), [1]), Sampler(steps=2, guidance=guidance), watched)(
        Batching(), never
    )
    assert seen == {copies}


@torch.inference_mode()
def test_a_guidance_interval_skips_passes_outside(flow: Flow):
    """Outside its interval guidance is off; by default it is on at every step."""
    guided: list[int] = []

    def watched(evaluation, x: Tensor, rows, batch) -> Tensor:
        guided.append(batch.copies)
        return local(evaluation, x, rows, batch)

    sampler = Sampler(steps=4, interval=(0.25, 0.5))
    EulerSolver(flow, prepared(flow, single(2.0, RATE_44K), [1]), sampler, watched)(Batching(), never)
    assert guided == [1, 2, 2, 1]


def test_the_usual_times_are_the_references():
    """25 equal steps from noise to music."""
    assert torch.equal(Sampler().times(), torch.linspace(0, 1, 26))


def test_conditions_are_taken_by_row(flow: Flow):
    """Taking rows of conditions takes them from every stream."""
    parts = Conditions(*(torch.arange(3.0)[:, None, None] for _ in range(3)), *(torch.arange(3.0)[:, None],) * 2)
    taken = parts.take(torch.tensor([2, 0]))
    assert all(getattr(taken, name).flatten().tolist() == [2.0, 0.0] for name in Conditions.__slots__)
