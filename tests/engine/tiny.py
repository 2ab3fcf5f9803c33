"""The test model: MMAudio's whole way in small dimensions, which a CPU goes in seconds and which makes noise for music.

`python -m tests.engine.tiny DIR` writes its files, which a worker reads as it reads the official ones: see docs/mmaudio.md.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

from tests.engine import generated
from worker.engines.mmaudio import loading, weights
from worker.engines.mmaudio.checkpoints import SYNC_PREFIX
from worker.engines.mmaudio.flow import Flow
from worker.engines.mmaudio.lengths import RATE_44K
from worker.engines.mmaudio.models import Model
from worker.engines.mmaudio.runtime import Runtime
from worker.engines.mmaudio.shapes import FlowShape, ImageShape, SynchformerShape, TextShape, VAEShape, VocoderShape
from worker.engines.mmaudio.synchformer import Synchformer

TINY = Model(
    name="tiny-random",
    rate=RATE_44K,
    flow=FlowShape(latent=40, width=64, heads=1, depth=3, fused=1, v2=True, clip=48, sync=48, text=64),
    vae=VAEShape(mels=128, latent=40, width=32),
    vocoder=VocoderShape(mels=128, rates=(8, 8, 8), kernels=(16, 16, 16), channels=8, clamps=True),
    image=ImageShape(width=64, layers=2, heads=4, patch=42, embed=48),
    text=TextShape(width=64, layers=2, heads=4),
    synchformer=SynchformerShape(width=48, depth=2, heads=4),
)
FLOW = replace(weights.FLOWS["small_44k"], path="weights/mmaudio_tiny.pth")
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "ENGINE": "mmaudio",
    "MMAUDIO_MODEL": TINY.name,
    "DEVICE": "cpu",
    "PYTHONPATH": f"{ROOT / 'tests' / 'engine' / 'with_tiny'}{os.pathsep}{ROOT}",
}
"""With MODELS_DIR, where `write` wrote, this makes a worker that composes with it."""


def write(models_dir: Path) -> None:
    """Its files in the official layout; all but one are called as those of 44.1 kHz."""
    for file, state in (
        (FLOW, generated.state(lambda: Flow(TINY.flow))),
        (weights.VAES[44_100], generated.vae_state(TINY.vae)),
        (weights.VOCODERS[44_100], generated.vocoder_state(TINY.vocoder)),
        (weights.SYNCHFORMER, generated.state(lambda: Synchformer(TINY.synchformer), prefix=SYNC_PREFIX)),
        (weights.CLIP, generated.clip_state(TINY.image, TINY.text)),
    ):
        path = file.under(models_dir)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, path)


def runtime(device: str = "cpu", dtype: torch.dtype | None = None) -> Runtime:
    """Without files, and without open_clip."""
    made = loading.runtime(TINY, generated.parts(TINY), torch.device(device), dtype)
    made.tokenize = generated.tokens
    return made


if __name__ == "__main__":
    write(Path(sys.argv[1]))
