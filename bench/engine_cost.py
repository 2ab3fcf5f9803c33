"""Parameters and arithmetic of a model, counted on the meta device: nothing is computed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.engine import formula
from worker.engines.mmaudio.bigvgan import BigVGAN
from worker.engines.mmaudio.clip_towers import ImageTower, TextTower
from worker.engines.mmaudio.flow import Flow
from worker.engines.mmaudio.lengths import clip_frames, sync_features
from worker.engines.mmaudio.models import Model
from worker.engines.mmaudio.synchformer import Synchformer
from worker.engines.mmaudio.vae import VAE


def _count(run: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


@torch.inference_mode()
def cost(model: Model, seconds: float, variants: int, steps: int) -> dict[str, dict[str, float]]:
    """For each stage of one job its parameters in millions and its GFLOP; a product counts two."""
    latents, frames, sync = model.rate.latents(seconds), clip_frames(seconds), sync_features(seconds)
    with torch.device("meta"):
        flow, vae, vocoder = Flow(model.flow), VAE(model.vae), BigVGAN(model.vocoder)
        image, text, follow = ImageTower(model.image), TextTower(model.text), Synchformer(model.synchformer)
        features = (torch.empty(1, frames, model.flow.clip), torch.empty(1, sync, model.flow.sync))
        caption = torch.empty(1, 77, model.flow.text)
        x, mel = torch.empty(1, latents, model.flow.latent), torch.empty(1, model.vae.mels, 2 * latents)
        pixels, video = torch.empty(1, 3, 384, 384), torch.empty(1, 16, 3, 224, 224)
        ids = torch.empty(1, 77, dtype=torch.int64)
    conditions = flow.condition(*features, caption)
    tables = flow.tables(latents, frames)
    once = {
        "clip": (image, frames * _count(lambda: image(pixels))),
        "synchformer": (follow, sync / 8 * _count(lambda: follow(video))),
        "text": (text, (variants + 1) * _count(lambda: text(ids))),
        "flow": (flow, 2 * steps * variants * _count(lambda: formula.velocity(flow, x, 0.5, conditions, tables))),
        "vae": (vae, variants * _count(lambda: vae(x))),
        "vocoder": (vocoder, variants * _count(lambda: vocoder(mel))),
    }
    return {
        name: {"params_m": sum(p.numel() for p in part.parameters()) / 1e6, "gflop": flops / 1e9}
        for name, (part, flops) in once.items()
    }
