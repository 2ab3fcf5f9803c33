"""The vocoder's anti-aliased activation: twice the rate, snake, and back, with one 12-tap low-pass filter."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worker.engines.mmaudio.choice import fused_or_plain
from worker.engines.mmaudio.low_pass import BLOCK, filters, matrices


class Snake(nn.Module):
    """Per-channel parameters of x + sin^2(a x) / b, stored as logarithms of a and b."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha, self.beta = nn.Parameter(torch.zeros(channels)), nn.Parameter(torch.zeros(channels))


class Way(NamedTuple):
    """One way to compute what lies between the vocoder's convolutions."""

    activate: Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
    add_biased: Callable[[Tensor, Tensor, Tensor], Tensor]


def add_biased(x: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    """x + y + bias (C,), of x and y (B, C, T)."""
    return x + (y + bias[:, None])


@cache
def fastest(device: torch.device) -> Way:
    """The fused kernels on a GPU where Triton is installed and can compile, products of blocks on a CPU."""
    if device.type != "cuda":
        return BLOCKS if device.type == "cpu" else PLAIN

    def fused() -> Way:
        from worker.engines.mmaudio import activation_kernel

        fast, one = Way(activation_kernel.activate, activation_kernel.add_biased), torch.ones(8, device=device)
        # In the precision that a vocoder has on a GPU: each takes seconds to compile.
        probe, bias = torch.linspace(-3, 3, 8 * 21, device=device).half().view(1, 21, 8).mT, one.half() / 2
        for ours, theirs in (
            (way.activate(probe, one, one, bias) for way in (fast, PLAIN)),
            (way.add_biased(probe, probe, bias) for way in (fast, PLAIN)),
        ):
            torch.testing.assert_close(ours, theirs, atol=2e-2, rtol=2e-2)
        return fast

    return fused_or_plain("vocoder", fused, PLAIN)


class SnakeActivation(nn.Module):
    """The activation of one layer; parameters under `act.alpha` and `act.beta`, always float32."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.act = Snake(channels)
        self.way: Way | None = None
        """How to compute it; the fastest that works here unless said otherwise."""
        self._constants: tuple[Tensor, Tensor] | None = None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SnakeActivation:
        """Move with the module, but stay float32: exp of a rounded logarithm would be another filter."""
        self._constants = None
        super()._apply(lambda t: t.to(fn(t).device), recurse)  # type: ignore[no-untyped-call]
        return self

    def constants(self) -> tuple[Tensor, Tensor]:
        """exp(alpha) and 1 / (exp(beta) + 1e-9), computed once."""
        if self._constants is None:
            alpha, beta = self.act.alpha.detach(), self.act.beta.detach()
            self._constants = alpha.exp(), 1.0 / (beta.exp() + 1e-9)
        return self._constants

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:  # (B, C, T), (C,)
        return (self.way or fastest(x.device)).activate(x, *self.constants(), bias)


def activate_plain(x: Tensor, rate: Tensor, depth: Tensor, bias: Tensor | None = None) -> Tensor:
    """The activation in plain PyTorch, in float32: x (B, C, T) plus bias (C,), rate = exp(alpha), depth = 1 / exp(beta).

    The signal at twice the rate is kept as its even and odd samples; ends are held (replicate padding).
    """
    channels = x.shape[1]
    up, down = filters(channels, x.device)
    held = F.pad(_biased(x, bias), (3, 3), mode="replicate")
    u = F.conv1d(held, up, groups=channels).unflatten(1, (channels, 2))  # (B, C, 2, T)
    s = torch.addcmul(u, torch.sin(u * rate[:, None, None]).square_(), depth[:, None, None])
    first, last = s[:, :, :1, :1].expand(-1, -1, 2, 3), s[:, :, 1:, -1:].expand(-1, -1, 2, 3)
    y = F.conv1d(torch.cat([first, s, last], dim=-1).flatten(1, 2), down, groups=channels)
    return y.to(x.dtype)


def _biased(x: Tensor, bias: Tensor | None) -> Tensor:
    return x.float() if bias is None else x.float() + bias[:, None]


CACHED = 2**18
"""Samples a CPU takes through all of it at once: what lies between the steps stays in its cache, which spares a large layer a quarter."""


def _held(x: Tensor, before: int, after: int) -> Tensor:
    """The first and the last sample repeated at the ends: `F.pad`'s "replicate", which copies sample by sample on a CPU."""
    *outer, _ = x.shape
    return torch.cat([x[..., :1].expand(*outer, before), x, x[..., -1:].expand(*outer, after)], dim=-1)


def activate_blocks(x: Tensor, rate: Tensor, depth: Tensor, bias: Tensor | None = None) -> Tensor:
    """The activation as two matrix products over overlapping blocks, some channels at a time: about twice as fast on a CPU as `activate_plain`."""
    some = max(1, CACHED // x.shape[-1])
    parts = zip(_biased(x, bias).split(some, dim=1), rate.split(some), depth.split(some), strict=True)
    return torch.cat([_of_blocks(*part) for part in parts], dim=1).to(x.dtype)


def _of_blocks(x: Tensor, rate: Tensor, depth: Tensor) -> Tensor:
    length, (up, down) = x.shape[-1], matrices(x.device)
    spare = -length % BLOCK
    held = _held(x, 3, 3 + spare)
    u = (held.unfold(-1, BLOCK + 6, BLOCK) @ up).flatten(2)[..., : 2 * length]  # (B, C, 2T)
    s = (u * rate[:, None]).sin_().square_().mul_(depth[:, None]).add_(u)
    held = _held(s, 5, 5 + 2 * spare)
    return (held.unfold(-1, 2 * BLOCK + 10, 2 * BLOCK) @ down).flatten(2)[..., :length]


PLAIN, BLOCKS = Way(activate_plain, add_biased), Way(activate_blocks, add_biased)
