"""How neural engines begin: on which device, and with what they find."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.engine import acestep
from worker.engines.device import choose_device
from worker.engines.mmaudio.engine import MMAudioEngine
from worker.errors import Misconfigured


@pytest.mark.parametrize(
    ("device", "gpus", "words"),
    [
        ("cuda:2", 2, "this machine has 2 GPUs, cuda:0 to cuda:1"),
        ("cuda:0", 0, "there is none"),
        ("gpu", 1, "DEVICE='gpu' is no device: set auto, cpu, cuda or cuda:N"),
    ],
)
def test_a_device_that_is_not_here_is_named(device: str, gpus: int, words: str):
    """A wrong DEVICE says what there is; one that is here is taken as it is."""
    with pytest.raises(Misconfigured, match=words):
        choose_device(device, "large_44k_v2", gpus)
    assert choose_device("cuda:1", "large_44k_v2", 2) == torch.device("cuda:1")


@pytest.mark.parametrize(
    ("load", "model", "device", "words"),
    [
        (MMAudioEngine.load, "huge", "cpu", "MMAUDIO_MODEL='huge' is not a model: choose one of small_16k"),
        (MMAudioEngine.load, "small_44k", "cpu", "rhythmai models pull small_44k"),
        (MMAudioEngine.load, "large_44k_v2", "cpu", "missing weights/mmaudio_large_44k_v2.pth, ext_weights/v1-44.pth"),
        (acestep.load, "huge", "cpu", "ACESTEP_MODEL='huge' is not a model: choose one of xl-turbo, turbo, tiny-random"),
        (acestep.load, "xl-turbo", "cpu", "run `rhythmai models pull acestep-xl-turbo`, or set ENGINE=sketch"),
        (acestep.load, "tiny-random", "gpu", "DEVICE='gpu' is no device"),
    ],
)  # fmt: skip
def test_a_worker_that_cannot_start_says_what_to_do(tmp_path: Path, load, model: str, device: str, words: str):
    """An unknown model, missing weights or a wrong device are one line with the remedy."""
    with pytest.raises(Misconfigured) as caught:
        load(model, tmp_path, device)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
