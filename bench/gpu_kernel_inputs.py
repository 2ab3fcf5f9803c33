"""Random inputs for every kernel of our own, at the large model's shapes and at odd ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from worker.engines.mmaudio.layers import mlp_width, rotations
from worker.engines.mmaudio.pointwise import Modulation, Stream

HEAD = 64


@dataclass(frozen=True, slots=True)
class Given:
    """The values of one call; `into` is the place of the one that is written to, if any is."""

    values: tuple[object, ...]
    into: int | None = None

    def wide(self) -> Given:
        """The same numbers in float32, which the answer is asked in too."""
        return replace(self, values=tuple(_wide(value) for value in self.values))

    def outputs(self, made: object) -> list[Tensor]:
        return _tensors(made if self.into is None else self.values[self.into])

    def moved(self, outputs: list[Tensor]) -> int:
        """Bytes read once and written once; what is written into is as much as is read for it."""
        read = [t for i, value in enumerate(self.values) if i != self.into for t in _tensors(value)]
        return sum(t.numel() * t.element_size() for t in (*read, *(outputs if self.into is None else read[:1])))


def _wide(value: object) -> object:
    if isinstance(value, tuple):
        return type(value)(*map(_wide, value))
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() else value.clone()
    return torch.float32 if isinstance(value, torch.dtype) else value


def _tensors(value: object) -> list[Tensor]:
    if isinstance(value, tuple):
        return [tensor for each in value for tensor in _tensors(each)]
    return [value] if isinstance(value, Tensor) else []


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a stream's tokens, B x N of so many heads, and of what is done with them."""

    batch: int
    tokens: int
    heads: int
    taps: int = 3
    placed: bool = True
    """Each token has a row of modulation and a turn of its own; else each batch entry has one row, and nothing turns."""

    @property
    def width(self) -> int:
        return HEAD * self.heads

    def __str__(self) -> str:
        return f"{self.batch} x {self.tokens} x {self.width}, {self.taps} taps" + ("" if self.placed else ", by entry")


LATENT, TEXT = Sizes(6, 345, 14), Sizes(6, 77, 14, taps=1, placed=False)
REAL: dict[str, tuple[Sizes, ...]] = {
    "unfold": (LATENT,),
    "modulate": (LATENT, replace(LATENT, taps=1), TEXT),
    "add_norm": (Sizes(64, 730, 20), Sizes(24, 1569, 12)),
    "rms_norm_rope": (LATENT, TEXT),
    "swiglu": (LATENT, TEXT),
}
"""As in a job of 8 s with three variants; `add_norm` as in the CLIP tower and Synchformer."""
ODD = (Sizes(1, 1, 2), Sizes(3, 37, 7, placed=False), Sizes(2, 50, 3, taps=1))


def _random(sizes: Sizes, dtype: torch.dtype, device: torch.device, *more: int) -> Tensor:
    return torch.randn(sizes.batch, sizes.tokens, *(more or (sizes.width,)), device=device).to(dtype)


def _unfold(sizes: Sizes, dtype: torch.dtype, device: torch.device) -> Given:
    longer = replace(sizes, tokens=sizes.tokens + 5)
    return Given((_random(longer, dtype, device, sizes.heads, HEAD)[:, 2 : 2 + sizes.tokens], sizes.taps))


def _modulate(sizes: Sizes, dtype: torch.dtype, device: torch.device) -> Given:
    count = sizes.batch * sizes.tokens
    rows = torch.randn(max(1, count // 3) if sizes.placed else sizes.batch, 6 * sizes.width, device=device).to(dtype)
    place = torch.randint(len(rows), (count,), device=device) if sizes.placed else None
    own = Modulation(rows, place)
    x = 3 + _random(sizes, torch.float32, device)
    stream = Stream(x, _random(sizes, dtype, device), own.part(2, sizes.width), own.place)
    return Given((stream, own.part(3, sizes.width), own.part(4, sizes.width), place, dtype, sizes.taps))


def _add_norm(sizes: Sizes, dtype: torch.dtype, device: torch.device) -> Given:
    stream = Stream(3 + _random(sizes, torch.float32, device), _random(sizes, dtype, device))
    weight, bias = torch.randn(2, sizes.width, device=device)
    return Given((stream, weight, bias, 1e-5, dtype))


def _rms_norm_rope(sizes: Sizes, dtype: torch.dtype, device: torch.device) -> Given:
    parts = 3 if sizes.batch != 2 else 2
    product = _random(sizes, dtype, device, parts, sizes.heads, HEAD)
    table = rotations(sizes.tokens, 1.3, HEAD, device) if sizes.placed else None
    into = torch.zeros(3, sizes.batch, sizes.tokens + 9, sizes.heads, HEAD, dtype=dtype, device=device)
    into[3 - parts :, :, 4 : 4 + sizes.tokens] = float("nan")
    return Given((product, torch.rand(2, HEAD, device=device).to(dtype), table, into, 4), into=3)


def _swiglu(sizes: Sizes, dtype: torch.dtype, device: torch.device) -> Given:
    return Given((3 * _random(sizes, dtype, device, 2 * mlp_width(sizes.width)), sizes.taps))


OF_POINTWISE: dict[str, Callable[[Sizes, torch.dtype, torch.device], Given]] = {
    "unfold": _unfold,
    "modulate": _modulate,
    "add_norm": _add_norm,
    "rms_norm_rope": _rms_norm_rope,
    "swiglu": _swiglu,
}


@dataclass(frozen=True, slots=True)
class Wave:
    """Channels and samples."""

    channels: int
    length: int

    def __str__(self) -> str:
        return f"{self.channels} x {self.length}"

    def random(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """(1, C, T), channels last as on a GPU."""
        return 2 * torch.randn(1, self.length, self.channels, device=device).to(dtype).mT


STAGES = (Wave(768, 5520), Wave(384, 22080), Wave(192, 44160), Wave(96, 88320), Wave(48, 176640), Wave(24, 353280))
"""Of the vocoder for 8 s."""
ODD_WAVES = (Wave(8, 21), Wave(24, 1), Wave(40, 1003))


def _activate(wave: Wave, dtype: torch.dtype, device: torch.device) -> Given:
    rate, depth = torch.randn(2, wave.channels, device=device).mul(0.3).exp()
    bias = torch.randn(wave.channels, device=device).to(dtype)
    return Given((wave.random(dtype, device), rate, depth, bias))


def _add_biased(wave: Wave, dtype: torch.dtype, device: torch.device) -> Given:
    make = partial(wave.random, dtype, device)
    return Given((make(), make(), torch.randn(wave.channels, device=device).to(dtype)))


OF_VOCODER: dict[str, Callable[[Wave, torch.dtype, torch.device], Given]] = {
    "activate": _activate,
    "add_biased": _add_biased,
}
