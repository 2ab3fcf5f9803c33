"""Weights and inputs made from names: each tensor is a function of its official key, its shape and a salt.

Parity data is made from these, and the test model (`tests/engine/tiny.py`) and the benchmarks run on them: no stored weights.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tests.engine.mel_scale import mel_scale
from worker.engines.mmaudio import checkpoints
from worker.engines.mmaudio.bigvgan import BigVGAN
from worker.engines.mmaudio.checkpoints import IMAGE_PREFIX, SYNC_PREFIX
from worker.engines.mmaudio.clip_towers import ImageTower, TextTower
from worker.engines.mmaudio.flow import Flow
from worker.engines.mmaudio.models import Model
from worker.engines.mmaudio.runtime import Parts
from worker.engines.mmaudio.shapes import FlowShape, ImageShape, SynchformerShape, TextShape, VAEShape, VocoderShape
from worker.engines.mmaudio.synchformer import Synchformer
from worker.engines.mmaudio.tokens import CONTEXT
from worker.engines.mmaudio.vae import VAE

Floats = npt.NDArray[np.float32]

CONSTANTS = frozenset({"filter", "data_mean", "data_std", "mel_basis", "hann_window", "attn_mask", "logit_scale"})
"""Leaves whose value is part of the design: never random."""
START, END = 49406, 49407
"""Around the ids of a caption."""
_EMBEDDINGS = frozenset(
    {"sync_pos_emb", "class_embedding", "positional_embedding", "cls_token", "pos_embed", "temp_embed"}
)
_UNIT_INPUTS = frozenset({"clip_input_proj.0.weight", "text_input_proj.0.weight"})


def _generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def normal(name: str, shape: Sequence[int], scale: float = 1.0) -> Floats:
    """Standard normal times `scale`."""
    return _generator(name).standard_normal(tuple(shape), dtype=np.float32) * np.float32(scale)


def unit(name: str, shape: Sequence[int]) -> Floats:
    """Like CLIP features: vectors of length one along the last axis."""
    x = normal(name, shape).astype(np.float64)
    return (x / np.sqrt((x * x).sum(-1, keepdims=True))).astype(np.float32)


def uniform(name: str, shape: Sequence[int]) -> Floats:
    """Like an image: values in [0, 1)."""
    return _generator(name).random(tuple(shape), dtype=np.float32)


def _scaled(key: str, z: Floats) -> Floats:
    """The scale rule: every layer's output stays near one."""
    leaf, one = key.rsplit(".", 1)[-1], np.float32(1)
    if leaf == "weight_g":
        gain = 1.0 if key.startswith("ups.") else 0.12 if key.startswith("conv_post") else 0.5
        return np.float32(gain) * (one + np.float32(0.1) * np.abs(z))
    if leaf in {"alpha", "beta", "latent_mean"}:
        return np.float32(0.1) * z
    if leaf == "latent_std":
        return one + np.float32(0.1) * np.abs(z)
    if leaf in {"empty_string_feat", "empty_clip_feat"}:
        return z * np.float32(1 / math.sqrt(z.shape[-1]))
    if leaf == "empty_sync_feat":
        return np.float32(0.5) * z
    if leaf in _EMBEDDINGS:
        return np.float32(0.05) * z
    if key in _UNIT_INPUTS:
        return z
    if z.ndim >= 2:
        return z * np.float32(1 / math.sqrt(math.prod(z.shape[1:])))
    if z.ndim == 1 and leaf == "weight":
        return one + np.float32(0.02) * z
    return np.float32(0.02) * z


def weights(shapes: Mapping[str, Sequence[int]], salt: str = "") -> dict[str, Tensor]:
    """A state dict for official keys and shapes, float32, without the design constants.

    Each tensor follows from its own name, and numpy draws without holding the interpreter: all cores make them at once.
    """

    def made(key: str) -> Tensor:
        z = np.asarray(normal(salt + key, shapes[key]), dtype=np.float32)
        return torch.from_numpy(np.asarray(_scaled(key, z), dtype=np.float32))

    keys = [key for key in shapes if key.rsplit(".", 1)[-1] not in CONSTANTS]
    with ThreadPoolExecutor() as pool:
        return dict(zip(keys, pool.map(made, keys), strict=True))


def state(make: Callable[[], nn.Module], salt: str = "", prefix: str = "") -> dict[str, Tensor]:
    """Weights for every key of a module, as its official file has them but for what `vae_state` and `vocoder_state` know."""
    with torch.device("meta"):
        shapes = {prefix + key: tuple(value.shape) for key, value in make().state_dict().items()}
    return weights(shapes, salt)


def clip_state(image: ImageShape, text: TextShape, salt: str = "") -> dict[str, Tensor]:
    return state(lambda: TextTower(text), salt) | state(lambda: ImageTower(image), salt, IMAGE_PREFIX)


def vae_state(shape: VAEShape, salt: str = "") -> dict[str, Tensor]:
    return state(lambda: VAE(shape), salt) | mel_scale(shape.mels)


def vocoder_state(shape: VocoderShape, salt: str = "") -> dict[str, Tensor]:
    """Every weight as magnitude and direction."""
    with torch.device("meta"):
        plain = {key: tuple(value.shape) for key, value in BigVGAN(shape).state_dict().items()}
    keys: dict[str, tuple[int, ...]] = {}
    for key, size in plain.items():
        if key.endswith(".weight"):
            keys |= {key + "_g": (size[0], *(1,) * (len(size) - 1)), key + "_v": size}
        else:
            keys[key] = size
    return weights(keys, salt)


def flow(shape: FlowShape, salt: str = "") -> Flow:
    return checkpoints.flow(shape, state(lambda: Flow(shape), salt), "generated")


def image_tower(shape: ImageShape, salt: str = "") -> ImageTower:
    return checkpoints.image_tower(shape, state(lambda: ImageTower(shape), salt, IMAGE_PREFIX), "generated")


def text_tower(shape: TextShape, salt: str = "") -> TextTower:
    return checkpoints.text_tower(shape, state(lambda: TextTower(shape), salt), "generated")


def synchformer(shape: SynchformerShape, salt: str = "") -> Synchformer:
    return checkpoints.synchformer(shape, state(lambda: Synchformer(shape), salt, SYNC_PREFIX), "generated")


def vae(shape: VAEShape, salt: str = "") -> VAE:
    return checkpoints.vae(shape, vae_state(shape, salt), "generated")


def vocoder(shape: VocoderShape, salt: str = "") -> BigVGAN:
    return checkpoints.vocoder(shape, vocoder_state(shape, salt), "generated")


def parts(model: Model) -> Parts:
    """Every network of a model, of its dimensions."""
    return Parts(
        flow(model.flow),
        vae(model.vae),
        vocoder(model.vocoder),
        image_tower(model.image),
        text_tower(model.text),
        synchformer(model.synchformer),
    )


def tokens(captions: Sequence[str]) -> Tensor:
    """Ids (B, 77) for networks to which words mean nothing: deterministic, different for different captions."""
    rows = torch.zeros(len(captions), CONTEXT, dtype=torch.int64)
    for row, caption in zip(rows, captions, strict=True):
        words = caption.lower().split()[: CONTEXT - 2]
        row[: len(words) + 2] = torch.tensor([START, *(zlib.crc32(word.encode()) % START for word in words), END])
    return rows
