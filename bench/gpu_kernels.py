"""Every kernel of our own against its plain form on fresh random inputs, and how near it comes to the memory's speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
from gpu_clock import kernel_s
from gpu_kernel_inputs import ODD, ODD_WAVES, OF_POINTWISE, OF_VOCODER, REAL, STAGES, Given
from gpu_stand import Stand, tensor_cores
from torch import Tensor

from worker.engines.mmaudio import activation, pointwise

NEAR = {torch.float32: 3e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
"""Largest difference to the plain form in float32, over the largest value: two or three roundings of the precision."""
SETS_BYTES, SETS = 3 * 2**28, 48
"""Inputs that take turns while a kernel is timed: far more than the cache holds, but not more than so many."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A kernel, its plain form, and fresh inputs for both."""

    name: str
    shape: str
    dtype: torch.dtype
    ours: Callable[..., object]
    plain: Callable[..., object]
    make: Callable[[], Given]
    timed: bool

    def error(self) -> float:
        """The largest difference, over the largest value; what was not written is not finite, and that never passes."""
        given = self.make()
        exact = given.wide()
        theirs = [one.float() for one in exact.outputs(self.plain(*exact.values))]
        _poison(theirs, self.dtype)
        ours = [one.float() for one in given.outputs(self.ours(*given.values))]
        if [one.shape for one in ours] != [one.shape for one in theirs] or not all(
            one.isfinite().all() for one in ours
        ):
            return float("inf")
        pairs = zip(ours, theirs, strict=True)
        return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-6)) for a, b in pairs)

    def speed(self, device: torch.device) -> tuple[float, int]:
        """Seconds of one call, and the bytes it has to move: every input read once, the output written once."""
        first = self.make()
        moved = first.moved(first.outputs(self.ours(*first.values)))
        more = min(SETS, SETS_BYTES // moved) if device.type == "cuda" else 0
        sets = [first, *(self.make() for _ in range(more))]
        return kernel_s(device, [partial(self.ours, *each.values) for each in sets]), moved


def _poison(like: list[Tensor], dtype: torch.dtype) -> None:
    """Leave NaN where the next tensors of these sizes are likely to lie."""
    spoilt = [torch.full_like(one, float("nan"), dtype=kind) for one in like for kind in (dtype, torch.float32)]
    del spoilt


def _trials(stand: Stand, told: list[str]) -> Iterator[Trial]:
    """All forms that the modules list, whatever they are called; what has no inputs here is told.

    On a GPU every shape and precision is compiled for, so that not every odd shape has every precision.
    """
    fast = pointwise.pointwise(stand.device)
    for name, plain in pointwise.PLAIN._asdict().items():
        if name not in OF_POINTWISE:
            told.append(f"no inputs for pointwise.{name}")
            continue
        real = list(product(REAL.get(name, ()), (torch.bfloat16, torch.float16)))
        for sizes, dtype in (*real, *zip(ODD, NEAR, strict=True)) if stand.on_gpu else product(ODD, NEAR):
            make = partial(OF_POINTWISE[name], sizes, dtype, stand.device)
            timed = (sizes, dtype) in real or not stand.on_gpu
            yield Trial(name, str(sizes), dtype, getattr(fast, name), plain, make, timed)
    way = activation.fastest(stand.device)
    for name, plain in activation.PLAIN._asdict().items():
        if name not in OF_VOCODER:
            told.append(f"no inputs for activation.{name}")
            continue
        stages = [(wave, torch.float16) for wave in STAGES]
        for wave, dtype in (*stages, *zip(ODD_WAVES, NEAR, strict=True)) if stand.on_gpu else product(ODD_WAVES, NEAR):
            make = partial(OF_VOCODER[name], wave, dtype, stand.device)
            yield Trial(name, str(wave), dtype, getattr(way, name), plain, make, wave in STAGES)


@torch.inference_mode()
def kernels(stand: Stand) -> tuple[bool, str]:
    """Equal everywhere, and as fast as what."""
    told: list[str] = []
    rows, wrong, shares = [], [], {}
    stand.note(seed=torch.seed())
    fallen = stand.on_gpu and (
        pointwise.pointwise(stand.device) is pointwise.PLAIN or activation.fastest(stand.device) is activation.PLAIN
    )
    for trial in sorted(_trials(stand, told), key=lambda each: not each.timed):
        row = {"kernel": trial.name, "shape": trial.shape, "dtype": str(trial.dtype).removeprefix("torch.")}
        started = time.perf_counter()
        with tensor_cores(allowed=False):
            row["error"] = trial.error()
        row["first_s"] = time.perf_counter() - started  # compiling included
        if not row["error"] <= NEAR[trial.dtype]:
            wrong.append(f"{trial.name} {trial.shape} {row['dtype']}: {row['error']:.1e}")
        if trial.timed:
            seconds, moved = trial.speed(stand.device)
            share = moved / seconds / 1e9 / stand.ceilings.copy_gb_s
            row |= {"us": 1e6 * seconds, "mb": moved / 1e6, "share_of_copy": share}
            shares.setdefault(trial.name, []).append(share)
        rows.append(row)
        stand.note(trials=rows, wrong=wrong, told=told)
    ends = ", ".join(f"{name} {100 * min(some):.0f}-{100 * max(some):.0f} %" for name, some in shares.items())
    words = [f"{len(rows) - len(wrong)} of {len(rows)} equal", *wrong[:2], *told, f"of the copy's speed: {ends}"]
    if fallen:
        words.insert(0, "FELL BACK TO PLAIN FORMS")
    return not wrong and not fallen, "; ".join(words)
