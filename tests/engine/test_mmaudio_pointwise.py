"""The network's fused kernels are its plain forms."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

INTERPRETED = """
import torch
from worker.pipeline.mmaudio import pointwise_kernel as fast
from worker.pipeline.mmaudio.layers import PLAIN, rotations
torch.manual_seed(0)
for dtype, near in ((torch.float32, dict(atol=3e-6, rtol=3e-6)), (torch.bfloat16, dict(atol=2e-2, rtol=2e-2))):
    for tokens, heads in ((1, 2), (5, 3), (7, 1)):
        width = 64 * heads
        x, rows = 3 + torch.randn(2, tokens, width), torch.randn(2, tokens, 6 * width).to(dtype)
        for own in (rows, rows[:, :1], rows[:1, :1]):
            shift, scale = own[..., 3 * width : 4 * width], own[..., 4 * width : 5 * width]
            torch.testing.assert_close(fast.modulate(x, shift, scale, dtype), PLAIN.modulate(x, shift, scale, dtype), **near)
        product, weight = torch.randn(2, tokens, 3, heads, 64).to(dtype), torch.rand(64).to(dtype)
        for table in (None, rotations(tokens, 1.3)):
            for part in product.unbind(2)[:2]:
                torch.testing.assert_close(fast.turn(part, weight, table), PLAIN.turn(part, weight, table), **near)
        both = 4 * torch.randn(2, tokens, 2 * 1280).to(dtype)
        torch.testing.assert_close(fast.gate(both), PLAIN.gate(both), **near)
print("equal")
"""


def test_the_kernels_equal_the_plain_forms():
    """Interpreted on the CPU: rows a token, a request or for all; one and many heads; with and without a table."""
    pytest.importorskip("triton", reason="Triton is only there on Linux")
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "equal", done.stderr


NUMBERS = ("tokens", "rows_b", "rows_n", "stride_n")


@pytest.mark.parametrize(
    ("name", "kinds", "known"),
    [
        ("_modulate", {"x": "*fp32", "shift": "*bf16", "scale": "*bf16", "y": "*bf16"}, {"WIDTH": 896, "BLOCK": 1024}),
        (
            "_turn",
            {"x": "*bf16", "weight": "*bf16", "table": "*fp32", "y": "*bf16", "epsilon": "fp32"},
            {"HEADS": 14, "WIDTH": 64, "BLOCK_H": 16, "BLOCK_P": 32, "TURNS": True},
        ),
        ("_gate", {"both": "*bf16", "y": "*bf16"}, {"WIDTH": 2560, "BLOCK": 1024}),
    ],
)
def test_the_kernels_compile_for_an_h200(name: str, kinds: dict[str, str], known: dict[str, object]):
    """Without a GPU too: what the interpreter accepts the compiler accepts, at the sizes of the large model."""
    pytest.importorskip("triton", reason="Triton is only there on Linux")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.compiler import compile as compiled

    from worker.pipeline.mmaudio import pointwise_kernel

    kernel = getattr(pointwise_kernel, name)
    types = {arg: kinds.get(arg, "i32" if arg in NUMBERS else "constexpr") for arg in kernel.arg_names}
    made = compiled(ASTSource(kernel, types, known), target=GPUTarget("cuda", 90, 32))
    assert "st.local" not in made.asm["ptx"]
