"""The GPU and the weights: needed when ENGINE is mmaudio and this machine generates."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

from rhythmai.doctor import compiler
from rhythmai.doctor.finding import Finding, Verdict, fail, note, ok
from worker.errors import Misconfigured
from worker.settings import Settings

GPU: Final = "gpu"
WEIGHTS: Final = "weights"
PULL: Final = "Run `rhythmai models pull {model}`, or set ENGINE=sketch"


async def examine(settings: Settings) -> list[Finding]:
    if "generate" not in settings.worker_kinds:
        return [note(GPU, "not needed: this machine only merges (WORKER_KINDS)")]
    if settings.engine == "sketch":
        return [note(GPU, "not needed: ENGINE=sketch composes on the CPU, and says so in every result")]
    found = [fail(GPU, "ENGINE=mmaudio needs PyTorch", "pip install 'rhythmai[gpu]', or set ENGINE=sketch")]
    if importlib.util.find_spec("torch"):
        found = await asyncio.to_thread(_look, settings)
    gpu, *_ = found
    if gpu.verdict is Verdict.FAIL and gpu.check == GPU and "engine" not in settings.model_fields_set:
        # Nobody asked for MMAudio: it is what a worker takes that is told nothing.
        return [replace(gpu, verdict=Verdict.NOTE)]
    return found


def _look(settings: Settings) -> list[Finding]:
    import torch

    from worker.engines.mmaudio import loading, weights

    try:
        model = weights.model_named(settings.mmaudio_model)
    except Misconfigured as error:
        return [fail(WEIGHTS, str(error), "Set MMAUDIO_MODEL to one of them")]
    try:
        device = loading.choose_device(settings.device or "auto", model)
    except Misconfigured as error:
        said, _, remedy = str(error).partition(": ")
        cuda = torch.version.cuda or "(this PyTorch has none)"
        gpu = fail(
            GPU,
            said,
            f"{remedy[:1].upper()}{remedy[1:]}; or check `nvidia-smi` and that the driver is new enough for CUDA {cuda}",
        )
    else:
        gpu = _device(device)
    needs_compiler = [] if settings.device == "cpu" else [compiler.examine()]
    return [gpu, *needs_compiler, _weights(settings.models_dir, model.name)]


def _device(device: object) -> Finding:
    import torch

    if torch.device(str(device)).type != "cuda":
        return note(GPU, "DEVICE=cpu: about half an hour a job", "Run on a GPU machine, or set ENGINE=sketch")
    facts = torch.cuda.get_device_properties(torch.device(str(device)))
    return ok(GPU, f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB, PyTorch {torch.__version__}")


def _weights(models_dir: Path, model: str) -> Finding:
    from worker.engines.mmaudio import weights

    missing = [file for file in weights.files_of(weights.model_named(model)) if file.found(models_dir) is None]
    if not missing:
        return ok(WEIGHTS, f"{model} is in {models_dir}")
    size_gb = sum(file.size_mb for file in missing) / 1000
    existing = next(folder for folder in (models_dir, *models_dir.absolute().parents) if folder.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    room = "" if free_gb > size_gb else f" (make room first: {free_gb:.1f} GB are free; or set MODELS_DIR)"
    names = ", ".join(file.name for file in missing)
    return fail(WEIGHTS, f"{names} missing in {models_dir}, {size_gb:.1f} GB", PULL.format(model=model) + room)
