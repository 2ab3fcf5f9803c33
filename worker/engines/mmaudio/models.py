"""The models one can ask for: rows of dimensions."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.domain import Licence
from worker.engines.mmaudio.lengths import RATE_16K, RATE_44K, AudioRate
from worker.engines.mmaudio.licence import CC_BY_NC
from worker.engines.mmaudio.shapes import FlowShape, ImageShape, SynchformerShape, TextShape, VAEShape, VocoderShape

RATES_16K, KERNELS_16K = (4, 4, 2, 2, 2, 2), (8, 8, 4, 4, 4, 4)
RATES_44K, KERNELS_44K = (8, 4, 2, 2, 2, 2), (16, 8, 4, 4, 4, 4)

VAE_16K = VAEShape(mels=80, latent=20, width=384)
VAE_44K = VAEShape(mels=128, latent=40, width=512)
VOCODER_16K = VocoderShape(mels=80, rates=RATES_16K, kernels=KERNELS_16K, clamps=False)
VOCODER_44K = VocoderShape(mels=128, rates=RATES_44K, kernels=KERNELS_44K, clamps=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Dimensions of every part behind one name, and the licence of its checkpoint."""

    name: str
    licence: Licence = CC_BY_NC
    rate: AudioRate
    flow: FlowShape
    vae: VAEShape
    vocoder: VocoderShape
    image: ImageShape = field(default_factory=ImageShape)
    text: TextShape = field(default_factory=TextShape)
    synchformer: SynchformerShape = field(default_factory=SynchformerShape)


def _row(name: str, rate: AudioRate, width: int, depth: int, fused: int, *, v2: bool = False) -> Model:
    vae, vocoder = (VAE_16K, VOCODER_16K) if rate is RATE_16K else (VAE_44K, VOCODER_44K)
    flow = FlowShape(latent=vae.latent, width=width, heads=width // 64, depth=depth, fused=fused, v2=v2)
    return Model(name=name, rate=rate, flow=flow, vae=vae, vocoder=vocoder)


MODELS = {
    model.name: model
    for model in (
        _row("small_16k", RATE_16K, 448, 12, 8),
        _row("small_44k", RATE_44K, 448, 12, 8),
        _row("medium_44k", RATE_44K, 896, 12, 8),
        _row("large_44k", RATE_44K, 896, 21, 14),
        _row("large_44k_v2", RATE_44K, 896, 21, 14, v2=True),
    )
}
