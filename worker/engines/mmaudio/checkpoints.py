"""From the state dicts of the official files to our modules: strict, so that a wrong file names its first wrong keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from worker.engines.mmaudio.bigvgan import BigVGAN
from worker.engines.mmaudio.clip_towers import ImageTower, TextTower
from worker.engines.mmaudio.flow import Flow
from worker.engines.mmaudio.shapes import FlowShape, ImageShape, SynchformerShape, TextShape, VAEShape, VocoderShape
from worker.engines.mmaudio.synchformer import Synchformer
from worker.engines.mmaudio.vae import VAE
from worker.errors import Misconfigured

State = Mapping[str, Tensor]
M = TypeVar("M", bound=nn.Module)

IMAGE_PREFIX, SYNC_PREFIX = "visual.", "vfeat_extractor."
_FLOW_EXTRAS = ("t_embed.freqs", "latent_rot", "clip_rot")
"""Tables some flow checkpoints carry along; ours are made anew."""
_CLIP_EXTRAS = ("text_projection", "logit_scale", "attn_mask")
_FILTERS = (".upsample.filter", ".downsample.lowpass.filter")
WEIGHT_NORMS = (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1"))


def flow(shape: FlowShape, state: State, source: str) -> Flow:
    """`mmaudio_<name>.pth`. Raises Misconfigured naming `source` and the keys that do not fit, as all below."""
    return _adopt(lambda: Flow(shape), {k: v for k, v in state.items() if k not in _FLOW_EXTRAS}, source)


def image_tower(shape: ImageShape, state: State, source: str) -> ImageTower:
    """The keys under `visual.` of open_clip's file."""
    return _adopt(lambda: ImageTower(shape), _under(IMAGE_PREFIX, state), source, IMAGE_PREFIX)


def text_tower(shape: TextShape, state: State, source: str) -> TextTower:
    """All other keys of open_clip's file."""
    mine = {k: v for k, v in state.items() if not k.startswith(IMAGE_PREFIX) and k not in _CLIP_EXTRAS}
    return _adopt(lambda: TextTower(shape), mine, source)


def synchformer(shape: SynchformerShape, state: State, source: str) -> Synchformer:
    """The keys under `vfeat_extractor.`; the file holds much else, and a two-dimensional patch embedding that nobody uses."""
    mine = {k: v for k, v in _under(SYNC_PREFIX, state).items() if not k.startswith("patch_embed.")}
    return _adopt(lambda: Synchformer(shape), mine, source, SYNC_PREFIX)


def vae(shape: VAEShape, state: State, source: str) -> VAE:
    """The decoder of `v1-16.pth` or `v1-44.pth`; the encoder is left in the file."""
    mine = {k: v for k, v in state.items() if not k.startswith("encoder.")}
    return _adopt(lambda: VAE(shape), mine, source).normalise()


def vocoder(shape: VocoderShape, state: State, source: str) -> BigVGAN:
    """The generator of `best_netG.pt` or `bigvgan_generator.pt`, its weight norm multiplied out."""
    mine = {k: v for k, v in state.items() if not k.endswith(_FILTERS)}
    return _adopt(lambda: BigVGAN(shape), folded(mine), source)


def folded(state: State) -> dict[str, Tensor]:
    """`g * v / |v|` for every weight kept as magnitude and direction, in either spelling; the norm is over all axes but the first."""
    out = dict(state)
    for magnitude, direction in WEIGHT_NORMS:
        for key in [k for k in out if k.endswith("." + magnitude)]:
            stem = key.removesuffix(magnitude)
            if stem + direction not in out:
                continue
            g, v = out.pop(key), out.pop(stem + direction)
            norm = v.float().flatten(1).norm(dim=1).view(-1, *(1,) * (v.dim() - 1))
            out[stem + "weight"] = g.float() * v.float() / norm
    return out


def _under(prefix: str, state: State) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _adopt(make: Callable[[], M], state: State, source: str, prefix: str = "") -> M:
    """A module on the meta device takes the tensors themselves, without copies; float32 whatever the file has."""
    with torch.device("meta"):
        module = make().requires_grad_(requires_grad=False).eval()
    wanted = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    wrong = [f"unexpected {prefix}{key}" for key in sorted(state.keys() - wanted.keys())]
    wrong += [f"missing {prefix}{key}" for key in sorted(wanted.keys() - state.keys())]
    wrong += [
        f"{prefix}{key} is {tuple(state[key].shape)} instead of {shape}"
        for key, shape in wanted.items()
        if key in state and tuple(state[key].shape) != shape
    ]
    if wrong:
        shown = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise Misconfigured(f"{source} is not the checkpoint it should be: {shown}")
    module.load_state_dict({key: value.float() for key, value in state.items()}, assign=True)
    return module
