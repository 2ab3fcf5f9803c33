"""The device and its two ceilings: how fast it copies its own memory, and how fast it multiplies."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import torch
from gpu_clock import event_s
from gpu_stand import Stand, tensor_cores

QUERY = "name,driver_version,memory.total,clocks.max.sm,clocks.sm,power.limit,temperature.gpu"


def device(stand: Stand) -> tuple[bool, str]:
    """Names, versions, sizes, and the ceilings that shares of peak refer to."""
    stand.note(
        python=sys.version.split()[0],
        torch=torch.__version__,
        cuda=torch.version.cuda,
        triton=_version("triton"),
        numpy=np.__version__,
        cores=len(os.sched_getaffinity(0)),
        threads=torch.get_num_threads(),
    )
    if not stand.on_gpu:
        stand.note(name="cpu")
        ceilings = stand.ceilings
        return True, f"cpu, copy {ceilings.copy_gb_s:.0f} GB/s, product {ceilings.tflops:.3f} TFLOP/s"
    one = torch.cuda.get_device_properties(0)
    stand.note(
        name=one.name,
        nvidia_smi=_nvidia_smi(),
        capability=f"{one.major}.{one.minor}",
        multiprocessors=one.multi_processor_count,
        l2_mb=getattr(one, "L2_cache_size", 0) / 2**20,
        memory_gb=one.total_memory / 1e9,
        cudnn=torch.backends.cudnn.version(),
    )
    ceilings = stand.ceilings
    stand.note(copy_gb_s=ceilings.copy_gb_s, matmul_tflops=ceilings.tflops)
    others = {
        "float16": product_tflops(stand, torch.float16),
        "tf32": product_tflops(stand, torch.float32),
    }
    pinned = torch.empty(2**28, dtype=torch.uint8, pin_memory=True)
    there = torch.empty_like(pinned, device=stand.device)
    stand.note(
        matmul_tflops_of=others,
        to_device_gb_s=2**28 / event_s(stand.device, lambda: there.copy_(pinned, non_blocking=True), 5) / 1e9,
        to_host_gb_s=2**28 / event_s(stand.device, lambda: pinned.copy_(there, non_blocking=True), 5) / 1e9,
    )
    return True, f"{one.name}, copy {ceilings.copy_gb_s:.0f} GB/s, bf16 product {ceilings.tflops:.0f} TFLOP/s"


def product_tflops(stand: Stand, dtype: torch.dtype) -> float:
    """Of a square product of random numbers; float32 on the tensor cores."""
    side = stand.sizes.product
    a, b = (torch.randn(side, side, device=stand.device, dtype=dtype) for _ in range(2))
    with tensor_cores(allowed=True):
        return 2 * side**3 / event_s(stand.device, lambda: a @ b, 2 * stand.sizes.repeats) / 1e12


def _nvidia_smi() -> dict[str, str]:
    """What the driver says, as far as it does."""
    query = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        return {"error": str(error)}
    return dict(zip(QUERY.split(","), told.splitlines()[0].split(", "), strict=False))


def _version(package: str) -> str | None:
    try:
        return __import__(package).__version__
    except ImportError:
        return None
