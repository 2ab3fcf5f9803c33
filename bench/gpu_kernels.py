"""Every kernel of our own against its plain form on fresh random inputs, and how near it comes to the memory's speed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from gpu_clock import kernel_s
from gpu_stand import Stand, tensor_cores
from torch import Tensor

from worker.pipeline.mmaudio import activation, layers

NEAR = {torch.float32: 3e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
"""Largest difference to the plain form in float32, over the largest value: two or three roundings of the precision."""
SETS_BYTES, SETS = 3 * 2**28, 48
"""Inputs that take turns while a kernel is timed: far more than the cache holds, but not more than so many."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a transformer's tokens."""

    batch: int
    tokens: int
    heads: int
    per_token: bool
    """Rows of modulation for every token, or one for all."""

    @property
    def width(self) -> int:
        return 64 * self.heads


REAL, OF_STREAM = Sizes(6, 345, 14, per_token=True), Sizes(6, 77, 14, per_token=False)
ODD = (Sizes(1, 1, 2, per_token=False), Sizes(3, 37, 7, per_token=True))
OF_STAGES = ((768, 5520), (384, 22080), (192, 44160), (96, 88320), (48, 176640), (24, 353280))
"""Channels and samples of the vocoder's stages for 8 s."""
ODD_WAVES = ((8, 21), (24, 1), (40, 1003))


def given(sizes: Sizes, dtype: torch.dtype, device: torch.device) -> dict[str, object]:
    """A value for every parameter that the pointwise forms are known to have, by its name."""
    random = partial(torch.randn, device=device)
    many = sizes.tokens if sizes.per_token else 1
    rows = random(sizes.batch, many, 6 * sizes.width).to(dtype)
    x = 3 + random(sizes.batch, sizes.tokens, sizes.width)
    part = random(sizes.batch, sizes.tokens, 3, sizes.heads, 64).to(dtype)[:, :, 0]
    return {
        "x": x,
        "shift": rows[..., : sizes.width],
        "scale": rows[..., sizes.width : 2 * sizes.width],
        "gate": rows[..., 2 * sizes.width : 3 * sizes.width],
        "dtype": dtype,
        "part": part,
        "weight": torch.rand(64, device=device),
        "table": layers.rotations(sizes.tokens, 1.3, 64, device) if sizes.per_token else None,
        "both": 4 * random(sizes.batch, sizes.tokens, 2 * layers.mlp_width(sizes.width)).to(dtype),
    }


def waves(channels: int, length: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """x (1, C, T), channels last as on a GPU, and the activation's parameters."""
    x = 2 * torch.randn(1, length, channels, device=device).to(dtype).mT
    return x, torch.randn(channels, device=device).mul(0.3).exp(), torch.randn(channels, device=device).mul(0.3).exp()


@dataclass(frozen=True, slots=True)
class Trial:
    """A kernel, its plain form, and inputs for both."""

    name: str
    shape: str
    dtype: torch.dtype
    ours: Callable[..., Tensor]
    plain: Callable[..., Tensor]
    inputs: Callable[[], tuple[object, ...]]
    timed: bool

    def error(self) -> float:
        """The largest difference, over the largest value; what was not written is not finite, and that never passes."""
        values = self.inputs()
        exact = self.plain(*(_wide(value) for value in values)).float()
        _poison(exact.numel(), self.dtype, exact.device)
        found = self.ours(*values).float()
        if found.shape != exact.shape or not found.isfinite().all():
            return float("inf")
        return float((found - exact).abs().max() / exact.abs().max().clamp(min=1e-6))

    def speed(self, device: torch.device) -> tuple[float, int]:
        """Seconds of one call, and the bytes it has to move: every input read once, the output written once."""
        first = self.inputs()
        made = self.ours(*first)
        tensors = [value for value in first if isinstance(value, Tensor)]
        moved = sum(t.numel() * t.element_size() for t in (*tensors, made))
        sets = (
            [first, *(self.inputs() for _ in range(min(SETS, SETS_BYTES // moved)))]
            if device.type == "cuda"
            else [first]
        )
        return kernel_s(device, [partial(self.ours, *values) for values in sets]), moved


def _wide(value: object) -> object:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.float()
    return torch.float32 if isinstance(value, torch.dtype) else value


def _poison(count: int, dtype: torch.dtype, device: torch.device) -> None:
    """Leave NaN where the next tensor of this size is likely to lie."""
    spoilt = [torch.full((count,), float("nan"), dtype=kind, device=device) for kind in (dtype, torch.float32)]
    del spoilt


def pointwise_trials(stand: Stand, told: list[str]) -> Iterator[Trial]:
    """Of all forms that lie between the products, whatever they are called; what has no inputs here is told."""
    fast = layers.pointwise(stand.device)
    for name, plain in layers.PLAIN._asdict().items():
        ours = getattr(fast, name)
        names = [each.name for each in inspect.signature(ours).parameters.values()]
        unknown = [each for each in names if each not in given(ODD[0], torch.float32, stand.device)]
        if unknown:
            told.append(f"{name}: no inputs for {', '.join(unknown)}")
            continue
        for sizes in (REAL, OF_STREAM, *ODD) if stand.on_gpu else ODD:
            for dtype in NEAR:
                shape = f"{sizes.batch} x {sizes.tokens} x {sizes.width}" + ("" if sizes.per_token else ", one row")

                def inputs(sizes: Sizes = sizes, dtype: torch.dtype = dtype, names: list[str] = names) -> tuple:
                    values = given(sizes, dtype, stand.device)
                    return tuple(values[each] for each in names)

                yield Trial(name, shape, dtype, ours, plain, inputs, timed=sizes is REAL or not stand.on_gpu)


def activation_trials(stand: Stand) -> Iterator[Trial]:
    """Of the vocoder's activation at every stage."""
    ours = activation._fastest(stand.device)  # noqa: SLF001
    odd = [(*wave, dtype) for wave in ODD_WAVES for dtype in NEAR]
    stages = [(*stage, torch.bfloat16) for stage in OF_STAGES if stand.on_gpu]
    for channels, length, dtype in (*stages, *odd):
        inputs = partial(waves, channels, length, dtype, stand.device)
        shape, plain = f"{channels} x {length}", activation.activate_plain
        yield Trial("activate", shape, dtype, ours, plain, inputs, timed=length > ODD_WAVES[-1][1])


@torch.inference_mode()
def kernels(stand: Stand) -> tuple[bool, str]:
    """Equal everywhere, and as fast as what."""
    told: list[str] = []
    rows, wrong, shares = [], [], {}
    fallen = stand.on_gpu and (
        layers.pointwise(stand.device) is layers.PLAIN or activation._fastest(stand.device) is activation.activate_plain  # noqa: SLF001
    )
    stand.note(seed=torch.seed())
    trials = [*pointwise_trials(stand, told), *activation_trials(stand)]
    for trial in sorted(trials, key=lambda each: (not each.timed, each.dtype is not torch.bfloat16)):
        row = {"kernel": trial.name, "shape": trial.shape, "dtype": str(trial.dtype).removeprefix("torch.")}
        with tensor_cores(allowed=False):
            row["error"] = trial.error()
        if not row["error"] <= NEAR[trial.dtype]:
            wrong.append(f"{trial.name} {trial.shape} {row['dtype']}: {row['error']:.1e}")
        if trial.timed:
            seconds, moved = trial.speed(stand.device)
            share = moved / seconds / 1e9 / stand.ceilings.copy_gb_s
            row |= {"us": 1e6 * seconds, "mb": moved / 1e6, "share_of_copy": share}
            if trial.dtype is torch.bfloat16:
                shares.setdefault(trial.name, []).append(share)
        rows.append(row)
        stand.note(trials=rows, wrong=wrong, told=told)
    ends = ", ".join(f"{name} {100 * min(some):.0f}-{100 * max(some):.0f} %" for name, some in shares.items())
    words = [f"{len(rows) - len(wrong)} of {len(rows)} equal", *wrong[:2], *told, f"of the copy's speed: {ends}"]
    if fallen:
        words.insert(0, "FELL BACK TO PLAIN FORMS")
    return not wrong and not fallen, "; ".join(words)
