"""Layers over tokens (B, N, D). Parameters carry the official names; `fuse()` turns them into fewer, larger products.

Before `fuse()` a layer computes the formula as it is written; afterwards the same reals in another order of summation.
Each layer takes its input to the precision of its weights: streams and norms stay float32 around bfloat16 products.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import cache, lru_cache
from typing import NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

log = logging.getLogger(__name__)

CPU = torch.device("cpu")
EPSILON_F32 = 1.1920928955078125e-07
"""Machine epsilon of float32: the eps of the q and k normalisation."""


def unfold(x: Tensor, kernel: int) -> Tensor:
    """Neighbours of each token side by side, zeros beyond the ends: (B, N, D) -> (B * N, kernel * D).

    Copied, one row a token: of the overlapping view a product would be a batch of small ones and a bias added afterwards.
    """
    batch, length, width = x.shape
    padded = F.pad(x, (0, 0, kernel // 2, kernel // 2))
    overlapping = padded.as_strided((batch, length, kernel * width), (padded.stride(0), width, 1))
    return overlapping.reshape(batch * length, -1)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, kernel: int) -> Tensor:
    """A convolution along tokens (B, N, D) as one product with its weight `as_matrix`."""
    return F.linear(unfold(x, kernel), weight, bias).view(*x.shape[:2], -1)


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
        return convolve(x, self.weight, self.bias, self.kernel_size[0])


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

    def forward(self, x: Tensor) -> Tensor:  # (B, N, D)
        if self.w13 is None:
            return self.w2(F.silu(self.w1(x)) * self.w3(x))
        x = x.to(self.w13.dtype)
        both = convolve(x, self.w13, None, self.kernel) if self.kernel > 1 else F.linear(x, self.w13)
        return self.w2(pointwise(x.device).gate(both))


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


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn adjacent pairs of channels in float32: x (..., N, heads, C) float32, table (N, C / 2)."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * table[:, None]).flatten(-2)


def turn(part: Tensor, weight: Tensor, table: Tensor | None) -> Tensor:
    """RMS norm over each head's channels, then `rotate`, in float32: part (B, N, h, C) in any precision, which stays."""
    z = F.rms_norm(part.float(), part.shape[-1:], weight.float(), EPSILON_F32)
    return (rotate(z, table) if table is not None else z).to(part.dtype)


def gate(both: Tensor) -> Tensor:
    """silu(a) * b of a and b side by side: (..., 2H) -> (..., H)."""
    opening, value = both.chunk(2, dim=-1)
    return F.silu(opening) * value


def modulate(x: Tensor, shift: Tensor, scale: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Layer norm without weights, then `* (1 + scale) + shift`, in float32; the answer in `dtype`."""
    normed = F.layer_norm(x, x.shape[-1:])
    return torch.addcmul(normed + shift, normed, scale).to(dtype)


class Pointwise(NamedTuple):
    """One way to compute what lies between the products."""

    modulate: Callable[[Tensor, Tensor, Tensor, torch.dtype], Tensor]
    turn: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    gate: Callable[[Tensor], Tensor]


PLAIN = Pointwise(modulate, turn, gate)


@cache
def pointwise(device: torch.device) -> Pointwise:
    """One kernel each on a GPU where Triton is installed, can compile, and gives the plain numbers; else the plain forms."""
    if device.type != "cuda":
        return PLAIN
    try:
        from worker.pipeline.mmaudio import pointwise_kernel

        fast = Pointwise(pointwise_kernel.modulate, pointwise_kernel.turn, pointwise_kernel.gate)
        x = torch.linspace(-2, 3, 2 * 3 * 384, device=device).sin().view(2, 3, 384)
        part, table = x.view(2, 3, 3, 2, 64)[:, :, 0], rotations(3, 1.0, 64, device)
        for dtype in (torch.float32, torch.bfloat16):
            rows = x[..., :128], x[..., 128:256].to(dtype), x[..., 256:].to(dtype)
            for name, given in (
                ("modulate", (*rows, dtype)),
                ("turn", (part.to(dtype), x[0, 0, :64], table)),
                ("gate", (x.to(dtype),)),
            ):
                ours, theirs = getattr(fast, name)(*given), getattr(PLAIN, name)(*given)
                torch.testing.assert_close(ours, theirs, atol=2e-2, rtol=2e-2)
    except Exception as error:  # noqa: BLE001
        log.warning("the network's fused kernels are not available, falling back to plain PyTorch: %s", error)
        return PLAIN
    return fast


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

    def __init__(self, width: int, heads: int, *, queries: bool = True) -> None:
        super().__init__()
        self.heads, self.head_width = heads, width // heads
        self.qkv = Linear(width, 3 * width)
        self.q_norm, self.k_norm = HeadNorm(self.head_width), HeadNorm(self.head_width)
        self.queries, self.fused = queries, False

    def fuse(self) -> None:
        width = self.heads * self.head_width
        first = 0 if self.queries else width
        order = torch.arange(3 * width).view(width, 3).T.flatten()[first:]
        self.qkv.weight = nn.Parameter(self.qkv.weight.detach()[order].contiguous(), requires_grad=False)
        self.qkv.bias = nn.Parameter(self.qkv.bias.detach()[order].contiguous(), requires_grad=False)
        self.fused = True

    def forward(self, x: Tensor, table: Tensor | None) -> tuple[Tensor | None, Tensor, Tensor]:
        """x (B, N, D) -> q, k, v, each (B, heads, N, C); q is None when nobody asks."""
        batch, length, _ = x.shape
        y = self.qkv(x)
        if self.fused:
            y = y.view(batch, length, -1, self.heads, self.head_width)  # (B, N, 3 or 2, h, C)
        else:
            # As the reference does: attention kernels want a head's channels side by side.
            y = y.view(batch, length, self.heads, self.head_width, 3).movedim(-1, 2).contiguous()
        *asked, v = y.unbind(2)
        weights = (self.q_norm.weight, self.k_norm.weight)[-len(asked) :]
        way = pointwise(x.device) if self.fused else PLAIN
        turned = [way.turn(p, w, table).transpose(1, 2) for p, w in zip(asked, weights, strict=True)]
        k = turned.pop()
        return (turned[0] if turned else None), k, v.transpose(1, 2)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention, heads side by side again: (B, h, N, C) -> (B, N, h * C)."""
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


@runtime_checkable
class Fusible(Protocol):
    """A layer that has a faster form with the same answer."""

    def fuse(self) -> None: ...


def fuse(module: nn.Module) -> None:
    """Fuse every layer below `module`, in place."""
    for part in list(module.modules()):
        if isinstance(part, Fusible):
            part.fuse()
