"""The flow network as its formulas are written: what `Evaluation` has to equal, up to the order of summation."""

from __future__ import annotations

import torch
from torch import Tensor

from worker.engines.mmaudio.blocks import AdaptiveNorm, Tables
from worker.engines.mmaudio.flow import Conditions, Flow
from worker.engines.mmaudio.lengths import nearest_exact
from worker.engines.mmaudio.pointwise import Modulation, Stream


def velocity(flow: Flow, x: Tensor, time: float, conditions: Conditions, tables: Tables) -> Tensor:
    """Of latents x (C, N, latent) at one time, float32, by a network that is not fused: nothing shared, nothing kept."""
    whole = flow.global_condition(torch.tensor([time]), conditions)[0]  # (C, D)
    stretch = nearest_exact(conditions.sync.shape[1], x.shape[1]).to(x.device)
    each = (whole[:, None] + conditions.sync[:, stretch]).flatten(0, 1)  # (C * N, D)
    place = torch.arange(len(each), device=x.device)

    def follows(norm: AdaptiveNorm, condition: Tensor) -> Modulation:
        return Modulation(norm(condition), place if condition is each else None)

    streams = (Stream(flow.audio_input_proj(x)), Stream(conditions.clip), Stream(conditions.text))
    for block in flow.joint_blocks:
        own = (
            follows(block.latent_block.adaLN_modulation, each),
            follows(block.clip_block.adaLN_modulation, whole),
            follows(block.text_block.adaLN_modulation, whole),
        )
        streams = block(streams, own, tables)
    latent = streams[0]
    for fused in flow.fused_blocks:
        latent = fused(latent, follows(fused.adaLN_modulation, each), tables.latent)
    return flow.final_layer(latent, flow.final_layer.adaLN_modulation(whole))
