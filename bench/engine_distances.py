"""How far from the exact numbers the engine works, at real size: `python bench/engine_distances.py bf16|vae [--model NAME]`.

bf16: latents of the mixed precision that a GPU uses against float32, ||a - b|| / ||b||, one variant with guidance.
vae: mels decoded in windows, as for long films, against mels decoded whole; once more with the global attention out of
the way, which shows that nothing else is cut. Weights and inputs are generated. Writes one JSON object to stdout; exits
with 1 when a bound is exceeded.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # also from a checkout that is not installed

from tests.engine import generated
from worker.engines.mmaudio import rendering
from worker.engines.mmaudio.batching import Batching
from worker.engines.mmaudio.layers import fuse
from worker.engines.mmaudio.models import MODELS, Model
from worker.engines.mmaudio.sampling import EulerSolver, Prepared, Sampler, noise
from worker.engines.mmaudio.windows import single

BF16_BOUND = 2e-2
SEAMLESS = 1e-4
"""What summation in another order may move a mel by."""


def apart(ours: Tensor, exact: Tensor) -> float:
    return float((ours - exact).norm() / exact.norm())


@torch.inference_mode()
def bf16(model: Model, device: torch.device, seconds: float, steps: int = 25) -> float:
    """The distance of latents, all else equal."""
    flow = generated.flow(model.flow)
    fuse(flow)
    flow.to(device)
    shape, windows = model.flow, single(seconds, model.rate)
    clip = torch.from_numpy(generated.unit("clip", (1, windows.clip_length, shape.clip)))
    sync = torch.from_numpy(generated.normal("sync", (1, windows.sync_length, shape.sync)))
    text, negative = (torch.from_numpy(generated.unit(name, (1, 77, shape.text))) for name in ("text", "negative"))
    flags = torch.backends.cuda.matmul, torch.backends.cudnn

    def sampled(*, tensor_cores: bool) -> Tensor:
        for flag in flags:
            flag.allow_tf32 = tensor_cores
        prepared = Prepared(
            seeds=[1],
            noise=noise([1], windows.latents, shape.latent),
            windows=windows,
            asked=flow.condition(clip.to(device), sync.to(device), text.to(device)),
            empty=flow.condition(
                flow.empty_clip(windows.clip_length), flow.empty_sync(windows.sync_length), negative.to(device)
            ),
            silent=False,
        )
        return EulerSolver(flow, prepared, Sampler(steps=steps))(Batching(), lambda: False)

    allowed = [flag.allow_tf32 for flag in flags]
    try:
        exact = sampled(tensor_cores=False)
        flow.to_precision(torch.bfloat16)
        return apart(sampled(tensor_cores=True), exact)
    finally:
        for flag, before in zip(flags, allowed, strict=True):
            flag.allow_tf32 = before


@torch.inference_mode()
def vae_windows(model: Model, device: torch.device) -> tuple[float, float]:
    """The distance of mels over two windows: as it is, and with the identity for the global attention."""
    vae = generated.vae(model.vae)
    fuse(vae)
    vae.to(device)
    latents = torch.from_numpy(generated.normal("z", (1, 2 * rendering.VAE_CORE, model.vae.latent))).to(device)
    real = apart(rendering.to_mel(vae, latents), vae(latents))
    vae.decoder.mid.attn_1 = torch.nn.Identity()
    return real, apart(rendering.to_mel(vae, latents), vae(latents))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("bf16", "vae"))
    parser.add_argument("--model", choices=sorted(MODELS), default="large_44k_v2")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=1.0)
    asked = parser.parse_args()
    model, device = MODELS[asked.model], torch.device(asked.device)
    if asked.what == "bf16":
        found = bf16(model, device, asked.seconds)
        print(json.dumps({"model": model.name, "seconds": asked.seconds, "bf16_apart": found}))
        return int(found > BF16_BOUND)
    real, seamless = vae_windows(model, device)
    print(json.dumps({"model": model.name, "windows_apart": real, "without_attention": seamless}))
    return int(seamless > SEAMLESS)


if __name__ == "__main__":
    sys.exit(main())
