"""The fast way through the networks is the plain one."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.engine import formula, generated
from worker.engines.mmaudio.batching import Batching
from worker.engines.mmaudio.blocks import FusedBlock
from worker.engines.mmaudio.evaluation import Evaluation, distinct_rows
from worker.engines.mmaudio.flow import Conditions, Flow
from worker.engines.mmaudio.layers import TokenConv, fuse
from worker.engines.mmaudio.pointwise import Modulation
from worker.engines.mmaudio.sampling import EulerSolver, Prepared, Sampler, noise
from worker.engines.mmaudio.shapes import FlowShape, ImageShape
from worker.engines.mmaudio.windows import Windows

LATENTS, CLIP, SYNC = 24, 16, 48


class Calls(TorchDispatchMode):
    """Notes the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module", params=[False, True], ids=["v1", "v2"])
def plain(request: pytest.FixtureRequest) -> Flow:
    shape = FlowShape(latent=8, width=128, heads=2, depth=4, fused=2, v2=request.param, clip=48, sync=32, text=40)
    return generated.flow(shape)


@pytest.fixture(scope="module")
def fused(plain: Flow) -> Flow:
    network = copy.deepcopy(plain)
    fuse(network)
    return network


def conditions(flow: Flow, count: int = 2) -> Conditions:
    clip = torch.from_numpy(generated.unit("clip", (count, CLIP, 48)))
    sync = torch.from_numpy(generated.normal("sync", (count, SYNC, 32)))
    text = torch.from_numpy(generated.unit("text", (count, 77, 40)))
    return flow.condition(clip, sync, text)


def empty(flow: Flow) -> Conditions:
    return flow.condition(flow.empty_clip(CLIP), flow.empty_sync(SYNC), flow.empty_text())


def distance(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


@torch.inference_mode()
def test_the_fast_way_equals_the_formulas(plain: Flow, fused: Flow):
    """Stacked passes over distinct rows give the velocities of one plain pass each."""
    x, evaluation = noise([1, 2], LATENTS, 8), Evaluation(fused, LATENTS)
    batch = evaluation.batch(conditions(fused), empty(fused), silent=False)
    condition = evaluation.global_condition(torch.tensor([0.36]), conditions(fused), empty(fused))
    asked, unasked = evaluation.velocity(x, evaluation.rows(condition[0], batch), batch).chunk(2)
    tables = plain.tables(LATENTS, CLIP)
    assert torch.allclose(asked, formula.velocity(plain, x, 0.36, conditions(plain), tables), atol=5e-5)
    nothing = empty(plain).take(torch.tensor([0, 0]))
    assert torch.allclose(unasked, formula.velocity(plain, x, 0.36, nothing, tables), atol=5e-5)


@torch.no_grad()
def test_a_fused_convolution_is_one_product():
    """Tokens of a whole batch are one matrix, and the bias is added by the product: equal to the convolution, at the ends too."""
    layer = TokenConv(6, 10, 7)
    x = torch.randn(3, 5, 6)
    expected = layer(x)
    layer.fuse()
    with Calls() as calls:
        made = layer(x)
    assert torch.allclose(made, expected, atol=1e-6)
    products = [name for name in calls.names if name.split(".")[0] in {"addmm", "mm", "bmm", "baddbmm", "add"}]
    assert products == ["addmm.default"]


@torch.inference_mode()
def test_a_fused_tower_has_the_factor_of_its_quick_gelu_in_its_weights():
    """One pass instead of a scaled sigmoid and two products, with the same features."""
    tower = generated.image_tower(ImageShape(width=64, layers=3, heads=2, image=28, embed=16))
    pixels = torch.rand(2, 3, 30, 30, generator=torch.Generator().manual_seed(1))
    expected = tower(pixels)
    fuse(tower)
    with Calls() as calls:
        made = tower(pixels)
    assert torch.allclose(made, expected, atol=2e-6)
    assert "silu.default" in calls.names
    assert "sigmoid.default" not in calls.names


@torch.inference_mode()
def test_a_second_job_brings_no_tables_to_the_device(fused: Flow):
    """Rotary tables and indices follow from lengths alone: the next batch of the same shape finds them there."""
    evaluation, asked, unasked = Evaluation(fused, LATENTS), conditions(fused), empty(fused)
    first = evaluation.batch(asked, unasked, silent=False)
    second = Evaluation(fused, LATENTS).batch(asked.take(torch.tensor([1, 0])), unasked, silent=False)
    for name in ("owner", "place", "entries"):
        assert getattr(first, name) is getattr(second, name)
    assert first.tables.latent is second.tables.latent
    assert first.tables.clip is second.tables.clip


@torch.inference_mode()
@pytest.mark.parametrize("length", [8, 16, 24, 48, 192])
def test_an_empty_sync_stream_has_few_distinct_rows(plain: Flow, length: int):
    """Eighteen rows stand for all of an empty stream, wherever its length lets them."""
    stream = plain.project_sync(plain.empty_sync(length))[0]
    rows, place = distinct_rows(length, empty=True)
    assert len(rows) == min(length, 18)
    assert torch.allclose(stream[rows][place], stream, atol=1e-5)


def sampled(
    flow: Flow, seeds: list[int], asked: Conditions, *, size: int = 8, silent: bool = False, steps: int = 5
) -> Tensor:
    windows = Windows(LATENTS, LATENTS, (0,), (0,), CLIP, (0,), SYNC)
    prepared = Prepared(
        seeds=seeds,
        noise=noise(seeds, LATENTS, 8),
        windows=windows,
        asked=asked,
        empty=empty(flow),
        silent=silent,
    )
    return EulerSolver(flow, prepared, Sampler(steps=steps))(Batching(size), lambda: False)


@torch.inference_mode()
def test_a_variant_does_not_depend_on_its_neighbours(fused: Flow):
    """Noise is bitwise the same and latents are the same within tolerance, alone, in company, in another order and batch."""
    both = conditions(fused)
    together = sampled(fused, [7, 9], both)
    turned = sampled(fused, [9, 7], both.take(torch.tensor([1, 0])))
    single = sampled(fused, [7, 9], both, size=1)
    alone = sampled(fused, [9], both.take(torch.tensor([1])))
    assert torch.equal(noise([7, 9], 24, 8)[1], noise([9], 24, 8)[0])
    for other in (turned.flip(0), single):
        assert torch.allclose(together, other, atol=2e-5)
    assert torch.allclose(together[1:], alone, atol=2e-5)


@torch.inference_mode()
def test_bfloat16_stays_close(plain: Flow):
    """Blocks in bfloat16 move sampled latents by less than two per cent of their length, guidance included."""
    network = copy.deepcopy(plain)
    fuse(network)
    exact = sampled(network, [7, 9], conditions(network), steps=25)
    network.to_precision(torch.bfloat16)
    assert network.t_embed.mlp[0].weight.dtype == network.latent_std.dtype == torch.float32
    assert distance(sampled(network, [7, 9], conditions(network), steps=25), exact) < 2e-2


@torch.inference_mode()
def test_bfloat16_stays_close_however_deep_the_network():
    """The errors of as many blocks as the largest model has stay below two per cent together."""
    shape = FlowShape(latent=8, width=64, heads=1, depth=21, fused=14, v2=True, clip=48, sync=32, text=40)
    network = generated.flow(shape)
    fuse(network)
    exact = sampled(network, [1, 2], conditions(network), steps=25)
    network.to_precision(torch.bfloat16)
    assert distance(sampled(network, [1, 2], conditions(network), steps=25), exact) < 2e-2


@torch.inference_mode()
@pytest.mark.parametrize("fuses", [False, True])
def test_large_hidden_values_fit_the_precision_of_the_feed_forward_part(fuses: bool):
    """A hidden product of ten times the largest float16 comes out as in float32, fused or not."""
    exact = FusedBlock(64, 1, 3)
    for name, weight in exact.named_parameters():
        weight.copy_(torch.from_numpy(generated.normal(name, weight.shape)))
    rows = Modulation(torch.zeros(1, 6 * 64), None)
    rows.part(5, 64)[:] = 1e-4  # the gate of the feed-forward part
    x = torch.from_numpy(generated.normal("x", (1, 24, 64)))
    for inner in ("w1", "w3"):
        exact.ffn.get_parameter(f"{inner}.weight").mul_(26)
    hidden = F.silu(exact.ffn.w1(F.layer_norm(x, (64,)))) * exact.ffn.w3(F.layer_norm(x, (64,)))
    assert 5e5 < hidden.abs().max() < 1e6
    exact.ffn.w2.weight.mul_(1e-3)
    close = copy.deepcopy(exact)
    if fuses:
        fuse(close)
    close.to_precision(torch.bfloat16)
    answer = torch.zeros(1, 24, 1, 64)
    fed = close.after(x, answer.bfloat16(), rows).settled() - x
    assert distance(fed, exact.after(x, answer, rows).settled() - x) < 2e-3


@torch.inference_mode()
def test_conditional_rows_of_a_silent_film_may_be_shared(fused: Flow):
    """Where the asked sync stream is the empty one, saying so changes nothing but the work."""
    flow = fused
    text = torch.from_numpy(generated.unit("text", (2, 77, 40)))
    asked = flow.condition(flow.empty_clip(CLIP).expand(2, -1, -1), flow.empty_sync(SYNC).expand(2, -1, -1), text)
    assert torch.allclose(sampled(flow, [1, 2], asked), sampled(flow, [1, 2], asked, silent=True), atol=2e-5)
