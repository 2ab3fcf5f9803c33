"""Waveforms in pieces are the waveform in one."""

from __future__ import annotations

import pytest
import torch

from tests.engine import generated
from tests.engine.mel_scale import mel_scale
from worker.engines.mmaudio import rendering
from worker.engines.mmaudio.layers import fuse
from worker.engines.mmaudio.models import KERNELS_16K, KERNELS_44K, RATES_16K, RATES_44K
from worker.engines.mmaudio.shapes import VAEShape, VocoderShape

SHAPES = {
    "16k": (VocoderShape(mels=80, rates=RATES_16K, kernels=KERNELS_16K, channels=64, clamps=False), 256, 39),
    "44k": (VocoderShape(mels=128, rates=RATES_44K, kernels=KERNELS_44K, channels=64, clamps=True), 512, 22),
}


def mel(mels: int, frames: int) -> torch.Tensor:
    scale = mel_scale(mels)
    return torch.from_numpy(generated.normal("mel", (1, mels, frames))) * scale["data_std"] + scale["data_mean"]


@torch.inference_mode()
@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_vocoder_chunks_with_the_halo_are_exact(kind: str):
    """The halo follows from the receptive field, and chunks with it give the waveform of the whole."""
    shape, hop, halo = SHAPES[kind]
    vocoder = generated.vocoder(shape)
    assert vocoder.halo == halo
    spectrum = mel(shape.mels, 2 * halo + 8)
    length = spectrum.shape[-1]
    parts = rendering.in_pieces(length, halo + 4, halo, lambda first, last: vocoder(spectrum[..., first:last])[0], hop)
    assert torch.allclose(parts, vocoder(spectrum)[0], atol=2e-6)


@torch.inference_mode()
@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_nothing_is_heard_beyond_the_halo(kind: str):
    """Another mel frame changes samples within the halo on each side of it, and beyond it not one bit."""
    shape, hop, halo = SHAPES[kind]
    vocoder = generated.vocoder(shape)
    spectrum, at = mel(shape.mels, 2 * halo + 20), halo + 10
    before = vocoder(spectrum)[0, 0]
    spectrum[..., at] += 50.0
    heard = (vocoder(spectrum)[0, 0] != before).nonzero()[:, 0]
    assert at - halo <= heard[0] // hop < at - halo // 2
    assert at + halo // 2 < heard[-1] // hop <= at + halo


@torch.inference_mode()
def test_vae_windows_are_exact_but_for_the_global_attention():
    """With the middle attention out of the way windows with their halo are the whole; with it they are close."""
    vae = generated.vae(VAEShape(mels=128, latent=40, width=8))
    fuse(vae)
    latents = torch.from_numpy(generated.normal("z", (1, 2 * rendering.VAE_CORE, 40)))
    whole, cut = vae(latents), rendering.to_mel(vae, latents)
    assert cut.shape == whole.shape
    assert not torch.allclose(cut, whole, atol=1e-4)
    assert (cut - whole).norm() / whole.norm() < 0.1
    vae.decoder.mid.attn_1 = torch.nn.Identity()
    assert torch.allclose(rendering.to_mel(vae, latents), vae(latents), atol=1e-4)


@torch.inference_mode()
def test_what_fits_a_window_is_decoded_in_one_piece():
    """Up to ten seconds nothing is cut."""
    vae = generated.vae(VAEShape(mels=80, latent=20, width=8))
    latents = torch.from_numpy(generated.normal("z", (1, 40, 20)))
    assert torch.equal(rendering.to_mel(vae, latents), vae(latents))
