"""Where neural engines compute, and how it is known that there is no memory left."""

from __future__ import annotations

import re

import torch

from worker.errors import Misconfigured

WORDS = ("ALLOC_FAILED", "DEVICE_ALLOCATION_FAILED", "CUDA error: out of memory", "can't allocate memory")
"""How cuBLAS, cuDNN and their kind, CUDA itself and the CPU's allocator say it: all by a RuntimeError."""


def out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in WORDS)
    )


def choose_device(device: str, model: str, gpus: int | None = None) -> torch.device:
    """ "auto" is the GPU. Raises Misconfigured when there is no such device."""
    count = torch.cuda.device_count() if gpus is None else gpus
    device = "cuda" if device == "auto" else device
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise Misconfigured(f"DEVICE={device!r} is no device: set auto, cpu, cuda or cuda:N")
    place = torch.device(device)
    if place.type == "cpu" or (place.index or 0) < count:
        return place
    if count:
        raise Misconfigured(f"DEVICE={device} is not here: this machine has {count} GPUs, cuda:0 to cuda:{count - 1}")
    raise Misconfigured(
        f"{model} needs a CUDA GPU and there is none: run the worker on a GPU machine, set ENGINE=sketch, "
        "or set DEVICE=cpu and wait long (MMAudio: about half an hour a job)"
    )
