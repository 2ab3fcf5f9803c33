"""Half precision: where its range is too small for the weights of a model, the engine sees it and goes on in another."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.engine import tiny
from tests.engine.tiny import TINY
from worker.domain import Options
from worker.engines.mmaudio.engine import MMAudioEngine
from worker.engines.mmaudio.runtime import Runtime
from worker.engines.mmaudio.sampling import Sampler, noise
from worker.engines.mmaudio.windows import lay
from worker.errors import Unavailable


@pytest.fixture(scope="module")
def made() -> Runtime:
    return tiny.runtime(dtype=torch.bfloat16)


@pytest.fixture
def runtime(made: Runtime) -> Runtime:
    """In the precision of a GPU, and each test's own."""
    return deepcopy(made)


def sampled(runtime: Runtime) -> torch.Tensor:
    prepared = runtime.prepared(lay(0.7, TINY.rate), None, runtime.read(["rain"]), "", [1])
    return runtime.sample(prepared, Sampler(steps=1), lambda: False)


@torch.inference_mode()
def test_a_network_whose_values_leave_float16_goes_on_in_bfloat16(runtime: Runtime, caplog):
    """The job that meets the infinity comes out, it is told once, and the next job starts in bfloat16."""
    runtime.flow.get_parameter("audio_input_proj.0.weight").mul_(1e4)
    runtime.flow.get_parameter("audio_input_proj.2.w13").mul_(1e3)
    for _ in range(2):
        assert sampled(runtime).isfinite().all()
    assert caplog.text.count("Flow do not fit into float16: it works in bfloat16 now") == 1
    assert {p.dtype for p in runtime.flow.parameters()} == {torch.float32, torch.bfloat16}


@torch.inference_mode()
def test_a_vocoder_that_overflows_is_heard_of(runtime: Runtime, caplog):
    """An infinity that the last clamp would have made full scale is seen, and the track is made in bfloat16."""
    latents = torch.randn(31, TINY.flow.latent, generator=torch.Generator().manual_seed(1))
    usual = runtime.render(latents)
    assert "float16" not in caplog.text
    runtime.vocoder.conv_post.weight.fill_(6e4)
    wave = runtime.render(latents)
    assert wave.isfinite().all()
    assert wave.shape == usual.shape
    assert "BigVGAN do not fit into float16" in caplog.text


def infinite_unless(runtime: Runtime, fits: Callable[[Tensor], Tensor]) -> None:
    """From now on velocities are infinite but for the latents of which `fits` says yes: x (C, N, latent) -> (C,) bool."""
    usual = runtime.velocity

    def velocity(evaluation, x: Tensor, rows, batch) -> Tensor:
        made = usual(evaluation, x, rows, batch)
        return made.where(fits(x).repeat(batch.copies)[:, None, None], torch.inf)

    runtime.velocity = velocity


@torch.inference_mode()
def test_what_does_not_fit_into_bfloat16_is_made_in_float32(runtime: Runtime, caplog):
    """This once: the weights are what they were afterwards, to the bit, and so is their speed."""
    weights = runtime.flow.get_parameter("audio_input_proj.0.weight")
    before = weights.bfloat16().clone()
    infinite_unless(runtime, lambda x: torch.full((len(x),), weights.dtype is torch.float32))
    assert sampled(runtime).isfinite().all()
    assert "Flow do not fit into bfloat16: this track is made in float32" in caplog.text
    assert torch.equal(weights, before)
    assert {p.dtype for p in runtime.flow.parameters()} == {torch.float32, torch.bfloat16}


def test_a_track_that_no_precision_makes_has_another_seed(runtime: Runtime, clip_of, variant_of, caplog):
    """Its siblings have theirs; the track says which it was, and sounds as that seed does."""
    windows = lay(1.0, TINY.rate)
    bad = noise([7], windows.latents, TINY.flow.latent)[0, 0, 0]
    infinite_unless(runtime, lambda x: x[:, 0, 0] != bad)
    engine, asked = MMAudioEngine(runtime), Options(conditioning="text", steps=1)
    clip, variants = clip_of(Path("nowhere.mp4"), 1.0), [variant_of(i, seed) for i, seed in enumerate((5, 7, 9))]
    tracks = list(engine.compose(clip, variants, asked, lambda: False))
    assert [(track.index, track.seed) for track in tracks] == [(0, None), (1, 8), (2, None)]
    assert "seed 7 makes no numbers in any precision: variant 1 has seed 8" in caplog.text
    (other,) = engine.compose(clip, [variant_of(1, 8)], asked, lambda: False)
    assert np.allclose(other.samples, tracks[1].samples, atol=1e-3)


def test_a_track_that_no_seed_makes_leaves_its_siblings(runtime: Runtime, clip_of, variant_of):
    """They come out, and the job says at its end what is missing."""
    windows = lay(1.0, TINY.rate)
    bad = noise([7, 8], windows.latents, TINY.flow.latent)[:, 0, 0]
    infinite_unless(runtime, lambda x: ~torch.isin(x[:, 0, 0], bad))
    variants = [variant_of(i, seed) for i, seed in enumerate((5, 7, 9))]
    asked = Options(conditioning="text", steps=1)
    tracks = MMAudioEngine(runtime).compose(clip_of(Path("nowhere.mp4"), 1.0), variants, asked, lambda: False)
    assert [next(tracks).index for _ in range(2)] == [0, 2]
    with pytest.raises(Unavailable, match="made no sound but infinities"):
        next(tracks)


@torch.inference_mode()
def test_weights_that_make_no_numbers_end_the_job(runtime: Runtime):
    """Where another precision does not help the job fails in one line, to be tried elsewhere."""
    runtime.flow.get_parameter("latent_mean").fill_(float("nan"))
    with pytest.raises(Unavailable, match="tiny-random made no sound but infinities"):
        sampled(runtime)
