"""The official files fit our modules, key by key, at their real sizes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.engine import generated
from tests.engine.tiny import TINY
from worker.engines.mmaudio import checkpoints
from worker.engines.mmaudio.models import MODELS
from worker.errors import Misconfigured


@pytest.fixture(scope="module")
def tables(fixtures: Path) -> dict[str, dict[str, list[int]]]:
    return json.loads(gzip.decompress((fixtures / "keys.json.gz").read_bytes()))


def on_meta(table: dict[str, list[int]]) -> dict[str, Tensor]:
    return {key: torch.empty(shape, device="meta") for key, shape in table.items()}


@pytest.mark.parametrize("name", MODELS)
def test_flow_checkpoints_fit(tables, name: str):
    """Every flow checkpoint has exactly our keys and shapes."""
    table = tables[f"mmaudio_{name}"]
    network = checkpoints.flow(MODELS[name].flow, on_meta(table), name)
    assert len(network.state_dict()) == len(table) == (251 if "large" not in name else 416)


@pytest.mark.parametrize("name", ["small_16k", "large_44k_v2"])
def test_other_checkpoints_fit(tables, name: str):
    """CLIP, Synchformer, VAE and vocoder files have our keys and shapes, and some that nobody uses."""
    model, kind = MODELS[name], name.split("_")[1]
    clip = on_meta(tables["clip_dfn5b_vit_h14_378"])
    image = checkpoints.image_tower(model.image, clip, "clip")
    text = checkpoints.text_tower(model.text, clip, "clip")
    assert len(image.state_dict()) + len(text.state_dict()) == len(clip) - 2
    sync = on_meta(tables["synchformer_vfeat_extractor"])
    assert len(checkpoints.synchformer(model.synchformer, sync, "sync").state_dict()) == len(sync) - 2
    vae = checkpoints.vae(model.vae, on_meta(tables[f"vae_{kind}"]), "vae")
    assert len(vae.state_dict()) == sum(not key.startswith("encoder.") for key in tables[f"vae_{kind}"])
    vocoder = "bigvgan_16k_best_netG" if kind == "16k" else "bigvgan_v2_44khz_128band_512x"
    checkpoints.vocoder(model.vocoder, on_meta(tables[vocoder]), "vocoder")


def test_known_extras_are_ignored(tables):
    """Tables that some flow checkpoints carry along are left in the file."""
    state = on_meta(tables["mmaudio_small_16k"] | {"t_embed.freqs": [128], "latent_rot": [1], "clip_rot": [1]})
    checkpoints.flow(MODELS["small_16k"].flow, state, "small")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"joint_blocks.9.surprise": [1]}, "unexpected joint_blocks.9.surprise"),
        ({"clip_cond_proj.bias": None}, "missing clip_cond_proj.bias"),
        ({"t_embed.mlp.0.weight": [448, 448]}, "t_embed.mlp.0.weight is (448, 448) instead of (448, 256)"),
    ],
)
def test_a_wrong_key_names_itself(tables, change: dict[str, list[int] | None], words: str):
    """An unexpected, missing or misshapen key stands in the error with the file's name."""
    table = {k: v for k, v in (tables["mmaudio_small_44k"] | change).items() if v is not None}
    with pytest.raises(Misconfigured, match="is not the checkpoint it should be") as caught:
        checkpoints.flow(MODELS["small_44k"].flow, on_meta(table), "mmaudio_small_44k.pth")
    assert words in str(caught.value)


def test_prefixes_are_named_too(tables):
    """A missing key of a tower is named as the file would have it."""
    clip = on_meta(tables["clip_dfn5b_vit_h14_378"])
    del clip["visual.proj"]
    with pytest.raises(Misconfigured, match=r"missing visual\.proj"):
        checkpoints.image_tower(MODELS["small_16k"].image, clip, "clip")


def test_weight_norm_is_read_in_every_spelling():
    """Magnitude and direction, parametrizations, or the plain weight give the same vocoder."""
    plain = generated.vocoder(TINY.vocoder).state_dict()
    classic, newer = dict(plain), dict(plain)
    for key in [k for k in plain if k.endswith(".weight")]:
        stem, weight = key.removesuffix("weight"), plain[key]
        norm = weight.flatten(1).norm(dim=1).view(-1, *(1,) * (weight.dim() - 1))
        for state, (g, v) in ((classic, ("weight_g", "weight_v")), (newer, checkpoints.WEIGHT_NORMS[1])):
            del state[key]
            state[stem + g], state[stem + v] = norm, 3.0 * weight
    for state in (plain, classic, newer):
        read = checkpoints.vocoder(TINY.vocoder, state, "vocoder").state_dict()
        assert all(torch.allclose(read[key], plain[key], atol=1e-6) for key in plain)
