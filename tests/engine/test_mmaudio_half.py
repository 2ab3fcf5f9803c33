"""Half precision: where its range is too small for the weights of a model, the engine sees it and goes on in another."""

from __future__ import annotations

import pytest
import torch

from tests.engine import tiny
from tests.engine.tiny import TINY
from worker.engines.mmaudio.runtime import Runtime
from worker.engines.mmaudio.sampling import Sampler
from worker.engines.mmaudio.windows import lay
from worker.errors import Unavailable


@pytest.fixture
def runtime() -> Runtime:
    """In the precision of a GPU."""
    return tiny.runtime(dtype=torch.bfloat16)


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


@torch.inference_mode()
def test_weights_that_make_no_numbers_end_the_job(runtime: Runtime):
    """Where another precision does not help the job fails in one line, to be tried elsewhere."""
    runtime.flow.get_parameter("latent_mean").fill_(float("nan"))
    with pytest.raises(Unavailable, match="tiny-random made no sound but infinities"):
        sampled(runtime)
