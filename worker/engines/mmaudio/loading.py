"""Builds a runtime from the official files: fused, cast and moved to its device."""

from __future__ import annotations

import ctypes
import logging
from pathlib import Path

import torch

from worker.engines.mmaudio import checkpoints, tokens, weights
from worker.engines.mmaudio.evaluation import Evaluation
from worker.engines.mmaudio.graphs import Graphs
from worker.engines.mmaudio.layers import fuse
from worker.engines.mmaudio.models import Model
from worker.engines.mmaudio.runtime import Parts, Runtime
from worker.errors import Misconfigured

log = logging.getLogger(__name__)


def official_parts(model: Model, models_dir: Path) -> Parts:
    """From the files in `models_dir`. Raises Misconfigured naming what is missing or does not fit."""
    files = flow, vae, vocoder, sync, clip = weights.files_of(model)
    if missing := [file.path for file in files if file.found(models_dir) is None]:
        raise Misconfigured(
            f"{model.name} has no weights in {models_dir} (missing {', '.join(missing)}): "
            f"run `rhythmai models pull {model.name}`, or set ENGINE=sketch"
        )
    clip_state = weights.read(clip, models_dir)
    return Parts(
        checkpoints.flow(model.flow, weights.read(flow, models_dir), flow.name),
        checkpoints.vae(model.vae, weights.read(vae, models_dir), vae.name),
        checkpoints.vocoder(model.vocoder, weights.read(vocoder, models_dir), vocoder.name),
        checkpoints.image_tower(model.image, clip_state, clip.name),
        checkpoints.text_tower(model.text, clip_state, clip.name),
        checkpoints.synchformer(model.synchformer, weights.read(sync, models_dir), sync.name),
    )


M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Of mallopt(3)."""


def _keep_memory() -> None:
    """Let the C library keep the memory of large tensors instead of giving each back to the system.

    On a CPU every layer would otherwise be given new pages, one fault each: half the time of a vocoder.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc's
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_TOP_PAD, 2**28)


def runtime(model: Model, parts: Parts, device: torch.device, dtype: torch.dtype | None = None) -> Runtime:
    """Fuse, cast and move the parts; bfloat16 on a GPU unless asked otherwise, float32 on a CPU."""
    on_gpu = device.type == "cuda"
    if not on_gpu:
        _keep_memory()
    precision = dtype or (torch.bfloat16 if on_gpu else torch.float32)
    # What stays float32 beside bfloat16 may use the tensor cores; pure float32 may not.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision is torch.bfloat16
    # Partial sums in float16 would round what the feed-forward part is in float16 for, and end at 65,504.
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    for part in parts.all():
        fuse(part)
    parts.flow.to_precision(precision)
    parts.image.transformer.to_precision(precision)
    parts.synchformer.to_precision(precision)
    parts.vocoder.to(torch.float16 if precision is torch.bfloat16 else precision)
    if on_gpu:
        parts.vocoder.channels_last()
    for part in parts.all():
        part.to(device)
    graphs = Graphs()
    return Runtime(
        *(parts.flow, parts.vae, parts.vocoder, parts.image, parts.text, parts.synchformer),
        model=model,
        device=device,
        tokenize=tokens.tokenize,
        graphs=graphs,
        velocity=graphs.velocity if on_gpu else Evaluation.velocity,
    )
