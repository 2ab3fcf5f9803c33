"""Layers over tokens (B, N, D). Parameters carry the official names; `fuse()` turns them into fewer, larger products.

Before `fuse()` a layer computes the formula as it is written; afterwards the same reals in another order of summation.
Each layer takes its input to the precision of its weights: streams and norms stay float32 around bfloat16 products.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worker.engines.mmaudio.pointwise import PLAIN, pointwise

CPU = torch.device("cpu")


def as_matrix(weight: Tensor) -> Tensor:
    """A convolution's weight (out, in, kernel) as the matrix (out, kernel * in) that multiplies `unfold`."""
    return weight.detach().permute(0, 2, 1).flatten(1).contiguous() if weight.dim() == 3 else weight.detach()


class Linear(nn.Linear):
    """A linear layer that takes its input in whatever precision it comes and answers in its own."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.weight.dtype))


class TokenConv(nn.Conv1d):
    """A convolution along channel-last tokens; one matrix product over unfolded neighbours once fused."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, bias=bias)

    def fuse(self) -> None:
        self.weight = nn.Parameter(as_matrix(self.weight), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:  # (B, N, in) -> (B, N, out)
        x = x.to(self.weight.dtype)
        if self.weight.dim() == 3:
            return super().forward(x.transpose(1, 2)).transpose(1, 2)
        return product(self, pointwise(x.device).unfold(x, self.kernel_size[0]), len(x))


def product(layer: Linear | TokenConv, rows: Tensor, batch: int) -> Tensor:
    """What a layer makes of tokens unfolded for it, (B * N, kernel * in) -> (B, N, out); they are in its precision.

    A convolution that is not fused yet takes them as they are, (B * N, in).
    """
    if layer.weight.dim() == 3:
        return layer(rows.view(batch, -1, layer.weight.shape[1]))
    return F.linear(rows, layer.weight, layer.bias).view(batch, -1, len(layer.weight))


def mlp_width(width: int) -> int:
    """Hidden width of the gated MLPs: two thirds of four widths, up to the next multiple of 256."""
    return 256 * math.ceil(int(2 * (4 * width) / 3) / 256)


class GatedMLP(nn.Module):
    """w2(silu(w1 x) * w3 x) without biases; with a kernel all three are convolutions along the tokens."""

    w1: nn.Module
    w2: nn.Module
    w3: nn.Module
    w13: Tensor | None

    def __init__(self, width: int, kernel: int = 1) -> None:
        super().__init__()
        hidden = mlp_width(width)
        self.kernel = kernel
        for name, inputs, outputs in (("w1", width, hidden), ("w2", hidden, width), ("w3", width, hidden)):
            convolves = kernel > 1
            layer = TokenConv(inputs, outputs, kernel, bias=False) if convolves else Linear(inputs, outputs, bias=False)
            self.add_module(name, layer)
        self.register_parameter("w13", None)

    def fuse(self) -> None:
        both = torch.cat([as_matrix(self.get_parameter("w1.weight")), as_matrix(self.get_parameter("w3.weight"))])
        self.w13 = nn.Parameter(both, requires_grad=False)
        del self.w1, self.w3

    @property
    def dtype(self) -> torch.dtype:
        return self.get_parameter("w2.weight").dtype

    @property
    def taps(self) -> int:
        """How many neighbours its input is unfolded to."""
        return 1 if self.w13 is None else self.kernel

    def forward(self, x: Tensor) -> Tensor:  # (..., D), tokens (B, N, D) with a kernel
        tokens = x.to(self.dtype)
        tokens = tokens if x.dim() == 3 else tokens[None]
        return self.of_unfolded(pointwise(x.device).unfold(tokens, self.taps), len(tokens)).view(*x.shape[:-1], -1)

    def of_unfolded(self, rows: Tensor, batch: int) -> Tensor:
        """The same for tokens (B * N, taps * D) in its precision -> (B, N, D)."""
        if self.w13 is None:
            x = rows.view(batch, -1, rows.shape[1])
            return self.w2(F.silu(self.w1(x)) * self.w3(x))
        both = F.linear(rows, self.w13).view(batch, -1, len(self.w13))
        hidden = pointwise(rows.device).swiglu(both, self.kernel)
        return F.linear(hidden, self.get_parameter("w2.weight")).view(batch, -1, len(self.get_parameter("w2.weight")))


@lru_cache(maxsize=32)
@torch.inference_mode(mode=False)
def rotations(length: int, scale: float, head_width: int = 64, device: torch.device = CPU) -> Tensor:
    """The rotary table (length, head_width / 2), complex64: position n turns pair i by n * scale / 10000^(2i / width).

    Made on the CPU and brought to a device once.
    """
    pairs = torch.arange(0, head_width, 2, dtype=torch.float32) / head_width
    frequencies = scale * (1.0 / torch.pow(10000.0, pairs))
    angles = torch.arange(length, dtype=torch.float32)[:, None] * frequencies
    return torch.complex(angles.cos(), angles.sin()).to(device)


class HeadNorm(nn.Module):
    """The learned weight of an RMS norm over one head's channels."""

    def __init__(self, head_width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(head_width))


class Projection(nn.Module):
    """Queries, keys and values of one stream: normalised over each head's channels, then turned.

    The checkpoints keep q, k and v interleaved innermost; `fuse` brings each together, and leaves the queries out where
    nobody asks them (`queries=False`: clip and text in the last joint block).
    """

    norms: Tensor | None

    def __init__(self, width: int, heads: int, *, queries: bool = True) -> None:
        super().__init__()
        self.heads, self.head_width = heads, width // heads
        self.qkv = Linear(width, 3 * width)
        self.q_norm, self.k_norm = HeadNorm(self.head_width), HeadNorm(self.head_width)
        self.queries = queries
        self.register_parameter("norms", None)

    def fuse(self) -> None:
        width = self.heads * self.head_width
        first = 0 if self.queries else width
        order = torch.arange(3 * width).view(width, 3).T.flatten()[first:]
        self.qkv.weight = nn.Parameter(self.qkv.weight.detach()[order].contiguous(), requires_grad=False)
        self.qkv.bias = nn.Parameter(self.qkv.bias.detach()[order].contiguous(), requires_grad=False)
        self.norms = nn.Parameter(torch.stack([self.q_norm.weight, self.k_norm.weight]).detach(), requires_grad=False)
        del self.q_norm, self.k_norm

    @property
    def fused(self) -> bool:
        return self.norms is not None

    def forward(self, rows: Tensor, batch: int, table: Tensor | None, into: Tensor, at: int) -> None:
        """Tokens (B * N, D) in its precision; writes q, k, v from token `at` of `into` (3, B, M, heads, C) on."""
        y = self.qkv(rows)
        if self.norms is not None:
            y = y.view(batch, len(y) // batch, -1, self.heads, self.head_width)  # (B, N, 3 or 2, h, C)
            pointwise(y.device).rms_norm_rope(y, self.norms, table, into, at)
            return
        y = y.view(batch, len(y) // batch, self.heads, self.head_width, 3).movedim(-1, 2)
        PLAIN.rms_norm_rope(y, torch.stack([self.q_norm.weight, self.k_norm.weight]), table, into, at)


def attend(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False) -> Tensor:
    """Softmax attention, heads side by side again: (B, h, N, C) -> (B, N, h * C)."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)


@torch.no_grad()
def widen(module: nn.Module, narrow: torch.dtype, wide: torch.dtype) -> list[nn.Parameter]:
    """Cast the weights of one precision to another, in place; which they were."""
    some = [weight for weight in module.parameters() if weight.dtype is narrow]
    for weight in some:
        weight.data = weight.data.to(wide)
    return some


def fuse(module: nn.Module) -> None:
    """Fuse every layer below `module` that has a faster form with the same answer, in place."""
    for part in list(module.modules()):
        if callable(own := getattr(part, "fuse", None)):
            own()
