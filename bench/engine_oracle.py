"""A second oracle for the MMAudio engine: the VAE's decoder and the vocoder that diffusers has, from the same weights.

`python -m bench.engine_oracle [--models-dir DIR] [--seconds 1]`. With DIR the official files of 44.1 kHz that lie there, else weights
made from names. It prints how far ours are from theirs, relative in L2, and seconds on this machine's CPU. Needs `rhythmai[acestep]`.
diffusers has the sizes of 44.1 kHz alone: the older 16 kHz vocoder ends in tanh, which it does not know.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_mmaudio import MMAudioVAE, normalize
from diffusers.models.autoencoders.mmaudio_vocoder import MMAudioVocoder
from torch import Tensor, nn

from tests.engine import generated
from worker.engines.mmaudio import checkpoints, weights
from worker.engines.mmaudio.layers import fuse
from worker.engines.mmaudio.models import VAE_44K, VOCODER_44K
from worker.engines.mmaudio.shapes import VAEShape, VocoderShape

State = Mapping[str, Tensor]


def their_vae(shape: VAEShape, state: State) -> MMAudioVAE:
    """Its names are the file's behind `vae.`; it wants the weights normalised, as its makers ship them. The encoder stays as it is."""
    theirs = MMAudioVAE(mel_bins=shape.mels, latent_channels=shape.latent, hidden_channels=shape.width)
    given = {f"vae.{key}": _normalised(value) for key, value in state.items() if not key.startswith("encoder.")}
    return _filled(theirs, given, without=("vae.encoder.", "mel_converter."))


def their_vocoder(shape: VocoderShape, state: State) -> MMAudioVocoder:
    """Its names are the file's, the weight norm multiplied out; its filters are its own."""
    theirs = MMAudioVocoder(
        num_mels=shape.mels, upsample_initial_channel=shape.channels, upsample_rates=shape.rates,
        upsample_kernel_sizes=shape.kernels,
    )  # fmt: skip
    given = {key: value for key, value in checkpoints.folded(state).items() if not key.endswith(".filter")}
    return _filled(theirs, given, without=(".filter",))


def _normalised(weight: Tensor) -> Tensor:
    """A convolution's weights, by diffusers' own function; everything else has fewer axes, or one channel."""
    if weight.dim() == 3 and weight.shape[0] > 1:
        return normalize(weight.float()) / math.sqrt(weight[0].numel())
    return weight.float()


def _filled(theirs: nn.Module, given: State, without: tuple[str, ...]) -> nn.Module:
    """Raises KeyError where a name of either side has no partner on the other."""
    lacking, unknown = theirs.load_state_dict(dict(given), strict=False)
    lacking = [key for key in lacking if not any(part in key for part in without)]
    if lacking or unknown:
        raise KeyError(f"diffusers' names are not the file's: missing {lacking[:5]}, unexpected {list(unknown)[:5]}")
    return theirs.eval()


def apart(ours: Tensor, theirs: Tensor) -> float:
    """Relative distance in L2."""
    return float((ours.double() - theirs.double()).norm() / theirs.double().norm())


@torch.inference_mode()
def compare(
    vae: VAEShape, vocoder: VocoderShape, vae_state: State, vocoder_state: State, seconds: float
) -> dict[str, tuple[float, float, float]]:
    """Of each part: how far ours is from theirs, our seconds and theirs."""
    count = max(1, round(seconds * 44_100 / 1024))
    latents = torch.from_numpy(generated.normal("second oracle", (1, count, vae.latent)))
    our_vae = checkpoints.vae(vae, vae_state, "VAE")
    our_vocoder = checkpoints.vocoder(vocoder, vocoder_state, "vocoder")
    for part in (our_vae, our_vocoder):
        fuse(part)
    mel, ours_s = _timed(lambda: our_vae(latents))
    their = their_vae(vae, vae_state)
    their_mel, theirs_s = _timed(lambda: their.decode(latents.transpose(1, 2)).sample)
    found = {"VAE": (apart(mel, their_mel), ours_s, theirs_s)}
    wave, ours_s = _timed(lambda: our_vocoder(mel))
    their = their_vocoder(vocoder, vocoder_state)
    their_wave, theirs_s = _timed(lambda: their(mel).sample)
    return found | {"vocoder": (apart(wave, their_wave), ours_s, theirs_s)}


def _timed(work: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """The second time is measured: the first fills caches."""
    work()
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models-dir", type=Path, help="where the official files lie (default: weights made from names)"
    )
    parser.add_argument("--seconds", type=float, default=1.0)
    asked = parser.parse_args()
    if asked.models_dir:
        vae, vocoder = (weights.read(files[44_100], asked.models_dir) for files in (weights.VAES, weights.VOCODERS))
    else:
        vae, vocoder = generated.vae_state(VAE_44K), generated.vocoder_state(VOCODER_44K)
    print(f"{asked.seconds:g} s: relative distance, our seconds, theirs")
    for name, (far, ours_s, theirs_s) in compare(VAE_44K, VOCODER_44K, vae, vocoder, asked.seconds).items():
        print(f"{name:8} {far:.1e} {ours_s:7.2f} {theirs_s:7.2f}")


if __name__ == "__main__":
    main()
