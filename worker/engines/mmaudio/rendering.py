"""From latents to a waveform: VAE and vocoder, in windows whose discarded halos bound the memory of any length."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from worker.engines.mmaudio.bigvgan import BigVGAN
from worker.engines.mmaudio.vae import VAE

WHOLE_LATENTS = 432
"""Up to this (10 s at 44.1 kHz) the VAE decodes in one piece: its middle attention is global."""
VAE_CORE, VAE_HALO = 281, 32
"""Latents decoded together and thrown away on each side: one native window. The convolutions reach 23."""
WHOLE_MELS = 2 * WHOLE_LATENTS
VOCODER_CORE = 768
"""Mel frames vocoded together; the halo is the vocoder's own."""


Forward = Callable[[nn.Module, Tensor], Tensor]
"""How a network is asked: as it is, or by its replay from a CUDA graph."""


def plainly(network: nn.Module, x: Tensor) -> Tensor:
    return network(x)


def in_pieces(
    length: int,
    core: int,
    halo: int,
    make: Callable[[int, int], Tensor],
    scale: int,
    before_each: Callable[[], None] = lambda: None,
) -> Tensor:
    """Pieces of an output (..., length * scale), each made from input [start - halo, end + halo), their halos cut off.

    `before_each` piece may raise, to stop there.
    """
    pieces = []
    for start in range(0, length, core):
        before_each()
        end = min(start + core, length)
        first, last = max(0, start - halo), min(length, end + halo)
        pieces.append(make(first, last)[..., (start - first) * scale : (end - first) * scale])
    return torch.cat(pieces, dim=-1)


def to_mel(vae: VAE, latents: Tensor, before_each: Callable[[], None] = lambda: None, run: Forward = plainly) -> Tensor:
    """Latents (1, N, latent), unnormalised -> log mel (1, mels, 2N)."""
    length = latents.shape[1]
    if length <= WHOLE_LATENTS:
        return run(vae, latents)
    return in_pieces(length, VAE_CORE, VAE_HALO, lambda first, last: run(vae, latents[:, first:last]), 2, before_each)


def to_wave(
    vocoder: BigVGAN, mel: Tensor, hop: int, before_each: Callable[[], None] = lambda: None, run: Forward = plainly
) -> Tensor:
    """Log mel (1, mels, M) -> waveform (1, M * hop) float32, on the same device."""
    length = mel.shape[-1]
    core = length if length <= WHOLE_MELS else VOCODER_CORE
    return in_pieces(
        length, core, vocoder.halo, lambda first, last: run(vocoder, mel[..., first:last])[0], hop, before_each
    )
