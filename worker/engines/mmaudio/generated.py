"""Weights and inputs made from names: each tensor is a function of its official key, its shape and a salt.

Parity data is made from these, and the test model `tiny-random` and the benchmarks run on them: no stored weights.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.float32]

CONSTANTS = frozenset({"filter", "data_mean", "data_std", "mel_basis", "hann_window", "attn_mask", "logit_scale"})
"""Leaves whose value is part of the design: never random."""
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
