"""A two-layer network in FP8, for the picture encoder of those who want it faster than exact: a lever.

Weights are scaled by output, activations by token, products summed up in float32. Beside bfloat16 the tensor cores are
twice as fast; how far the features move is in bench/engine.md.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worker.engines.mmaudio.clip_towers import QuickMLP

FP8 = torch.float8_e4m3fn
LARGEST = 448.0


def quantise(x: Tensor, *, silu: bool = False) -> tuple[Tensor, Tensor]:
    """Rows (M, K) of x, or of silu(x), in FP8, and the factor of each, (M, 1) float32."""
    if x.is_cuda:
        from worker.engines.mmaudio.kernels import quantise as fused

        return fused(x, silu=silu)
    y = F.silu(x.float()) if silu else x.float()
    factor = y.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / LARGEST
    return (y / factor).to(FP8), factor


def _product(x: tuple[Tensor, Tensor], weight: Tensor, factor: Tensor, bias: Tensor) -> Tensor:
    """(M, K) by (N, K) -> (M, N) in the bias's precision."""
    rows, own = x
    if rows.is_cuda:
        return torch._scaled_mm(  # noqa: SLF001
            rows, weight.t(), own, factor, bias=bias, out_dtype=bias.dtype, use_fast_accum=True
        )
    return (rows.float() @ weight.float().t() * own * factor + bias).to(bias.dtype)


class Fp8MLP(nn.Module):
    """`QuickMLP`, once fused, with both products in FP8."""

    fused = True

    def __init__(self, exact: QuickMLP) -> None:
        super().__init__()
        for name in ("c_fc", "c_proj"):
            weight, factor = quantise(exact.get_parameter(f"{name}.weight"))
            self.register_buffer(f"{name}_weight", weight)
            self.register_buffer(f"{name}_factor", factor.t().contiguous())
            self.register_buffer(f"{name}_bias", exact.get_parameter(f"{name}.bias"))

    def forward(self, x: Tensor) -> Tensor:
        part = self.get_buffer
        inside = quantise(x.flatten(0, -2))
        hidden = _product(inside, part("c_fc_weight"), part("c_fc_factor"), part("c_fc_bias"))
        answer = _product(
            quantise(hidden, silu=True), part("c_proj_weight"), part("c_proj_factor"), part("c_proj_bias")
        )
        return answer.view(*x.shape[:-1], -1)


def use_fp8(tower: nn.Module) -> None:
    """Replace every `QuickMLP` below `tower`, fused, cast and on its device, in place."""
    for part in list(tower.modules()):
        for name, child in part.named_children():
            if isinstance(child, QuickMLP):
                setattr(part, name, Fp8MLP(child))
