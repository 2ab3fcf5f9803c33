"""The GPU and the weights: needed when a neural ENGINE composes on this machine."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

from rhythmai.doctor import compiler
from rhythmai.doctor.finding import Finding, Verdict, fail, note, ok
from worker.engines.licences import commercial
from worker.errors import Misconfigured
from worker.settings import Settings

GPU: Final = "gpu"
LICENCE: Final = "licence"
WEIGHTS: Final = "weights"
PULL: Final = "Run `rhythmai models pull {model}`, or set ENGINE=sketch"


async def examine(settings: Settings) -> list[Finding]:
    if "generate" not in settings.worker_kinds:
        return [note(GPU, "not needed: this machine only merges (WORKER_KINDS)")]
    engines: tuple[str, ...] = settings.engine
    if settings.commercial_only:
        try:
            engines = commercial(settings.engines)
        except Misconfigured as error:
            said, _, remedy = str(error).partition(". ")
            return [fail(LICENCE, said, remedy)]
    found = [finding for engine in engines for finding in await _engine(settings, engine)]
    found = list(dict.fromkeys(found))  # the GPU and the compiler are everybody's
    gpu, *_ = found
    if gpu.verdict is Verdict.FAIL and gpu.check == GPU and "engine" not in settings.model_fields_set:
        # Nobody asked for MMAudio: it is what a worker takes that is told nothing.
        return [replace(gpu, verdict=Verdict.NOTE)]
    return found


async def _engine(settings: Settings, engine: str) -> list[Finding]:
    if engine == "sketch":
        return [note(GPU, "not needed: ENGINE=sketch composes on the CPU, and says so in every result")]
    extra, library = ("acestep", "diffusers") if engine == "acestep" else ("gpu", "PyTorch")
    if importlib.util.find_spec("torch") and (extra == "gpu" or importlib.util.find_spec(library)):
        return await asyncio.to_thread(_look, settings, engine)
    return [fail(GPU, f"ENGINE={engine} needs {library}", f"pip install 'rhythmai[{extra}]', or set ENGINE=sketch")]


def _look(settings: Settings, engine: str) -> list[Finding]:
    import torch

    from worker.engines.device import choose_device

    try:
        name, weights = _checkpoint(settings, engine)
    except Misconfigured as error:
        return [fail(WEIGHTS, str(error), f"Set {engine.upper()}_MODEL to one of them")]
    if name == "tiny-random":
        return [note(GPU, "not needed: ACESTEP_MODEL=tiny-random makes noise on the CPU, for tests")]
    try:
        device = choose_device(settings.device or "auto", name)
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
    needs_compiler = [compiler.examine()] if engine == "mmaudio" and settings.device != "cpu" else []
    return [gpu, *needs_compiler, weights]


def _device(device: object) -> Finding:
    import torch

    if torch.device(str(device)).type != "cuda":
        return note(
            GPU,
            "DEVICE=cpu: jobs take long, about half an hour with MMAudio",
            "Run on a GPU machine, or set ENGINE=sketch",
        )
    facts = torch.cuda.get_device_properties(torch.device(str(device)))
    return ok(GPU, f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB, PyTorch {torch.__version__}")


def _checkpoint(settings: Settings, engine: str) -> tuple[str, Finding]:
    """The model and how its weights are. Raises Misconfigured when none is called so."""
    models_dir = settings.models_dir
    if engine == "acestep":
        from worker.engines.acestep import checkpoints

        row = checkpoints.model_named(settings.acestep_model)
        gone = checkpoints.missing(row, models_dir)
        return row.name, _weights(models_dir, f"acestep-{row.name}", gone, row.size_mb)
    from worker.engines.mmaudio import weights

    model = weights.model_named(settings.mmaudio_model)
    missing = [file for file in weights.files_of(model) if file.found(models_dir) is None]
    return model.name, _weights(
        models_dir, model.name, [file.name for file in missing], sum(file.size_mb for file in missing)
    )


def _weights(models_dir: Path, model: str, missing: list[str], size_mb: int) -> Finding:
    """`size_mb` is what is missing."""
    if not missing:
        return ok(WEIGHTS, f"{model} is in {models_dir}")
    size_gb = size_mb / 1000
    existing = next(folder for folder in (models_dir, *models_dir.absolute().parents) if folder.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    room = "" if free_gb > size_gb else f" (make room first: {free_gb:.1f} GB are free; or set MODELS_DIR)"
    names = ", ".join(missing)
    return fail(WEIGHTS, f"{names} missing in {models_dir}, {size_gb:.1f} GB", PULL.format(model=model) + room)
