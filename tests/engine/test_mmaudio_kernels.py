"""The fused kernels of the networks and of the vocoder's activation are their plain forms."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

INTERPRETED = """
import torch
from worker.engines.mmaudio import activation, kernels as fast, synchformer
from worker.engines.mmaudio.activation_kernel import activate, add_biased
from worker.engines.mmaudio.attention_kernel import grouped_attention
from worker.engines.mmaudio.synchformer import DividedAttention
from worker.engines.mmaudio.layers import rotations
from worker.engines.mmaudio.pointwise import PLAIN, Modulation, Pointwise, Stream, _compare
torch.manual_seed(0)
torch.set_grad_enabled(False)
equal = torch.testing.assert_close
for dtype, near in ((torch.float32, dict(atol=3e-6, rtol=3e-6)), (torch.bfloat16, dict(atol=2e-2, rtol=2e-2))):
    for tokens, heads, kernel in ((1, 2, 3), (5, 3, 7), (7, 1, 1), (2, 2, 7)):
        width = 64 * heads
        x, answer = 3 + torch.randn(2, tokens, width), torch.randn(2, heads, tokens, 64).to(dtype).transpose(1, 2)
        equal(fast.unfold(answer, kernel), PLAIN.unfold(answer, kernel))
        equal(fast.unfold(x[:, :, 1:], kernel), PLAIN.unfold(x[:, :, 1:], kernel))
        for own in (
            Modulation(torch.randn(4, 6 * width).to(dtype), torch.randint(0, 4, (2 * tokens,))),
            Modulation(torch.randn(2, 6 * width).to(dtype), None),
        ):
            for stream in (Stream(x), Stream(x, torch.randn_like(x).to(dtype), own.part(5, width), own.place)):
                asked = stream, own.part(3, width), own.part(4, width), own.place, dtype, kernel
                equal(fast.modulate(*asked), PLAIN.modulate(*asked), **near)
        for stream in (Stream(x), Stream(x, torch.randn_like(x).to(dtype))):
            asked = stream, torch.rand(width), torch.randn(width), 1e-6, dtype
            equal(fast.add_norm(*asked), PLAIN.add_norm(*asked), **near)
        weights = torch.rand(2, 64).to(dtype)
        for parts in (2, 3):
            product = torch.randn(2, tokens, parts, heads, 64).to(dtype)
            for table in (None, rotations(tokens, 1.3)):
                ours, theirs = torch.zeros(2, 3, 2, tokens + 4, heads, 64, dtype=dtype)
                fast.rms_norm_rope(product, weights, table, ours, 3)
                PLAIN.rms_norm_rope(product, weights, table, theirs, 3)
                equal(ours, theirs, **near)
        both = 4 * torch.randn(2, tokens, 2 * 1280).to(dtype)
        equal(fast.swiglu(both, kernel), PLAIN.swiglu(both, kernel), **near)
    half = torch.float16 if dtype is torch.bfloat16 else dtype  # of bfloat16 the interpreter makes no products
    for over_time, groups in ((True, 6), (False, 8)):
        attention = DividedAttention(64, 2, over_time=over_time).to(half)
        synchformer.PATCHES = 6
        x = torch.randn(2, 1 + 8 * 6, 64).to(half)
        product, out = attention.qkv(x), torch.zeros_like(x)
        grouped_attention(product, out, 2, groups, over_time=over_time)
        attention.proj = torch.nn.Identity()
        equal(out[:, 1:], attention(x)[:, 1:], **near)
        assert not out[:, 0].any()
_compare(Pointwise(fast.unfold, fast.modulate, fast.add_norm, fast.rms_norm_rope, fast.swiglu), torch.device("cpu"))
for length, last, loud in (
    (1, True, 1.0), (2, False, 1.0), (5, True, 1.0), (7, False, 30.0), (8, True, 30.0), (9, True, 3e3), (19, True, 1e8),
    (40, False, 1.0), (1100, False, 3e3),
):
    x = loud * (torch.randn(2, length, 3).mT if last else torch.randn(1, 2, length))
    rate, depth = torch.rand(x.shape[1]) + 0.5, torch.rand(x.shape[1]) + 0.5
    made, plain = activate(x, rate, depth), activation.activate_plain(x, rate, depth)
    assert made.stride() == x.stride()
    assert torch.allclose(made, plain, atol=2e-6 * loud, rtol=0), (length, last, loud, (made - plain).abs().max())
many = torch.randn(1, 37, 70).mT
ones = torch.ones(70)
assert torch.allclose(activate(many, ones, ones), activation.activate_plain(many, ones, ones), atol=2e-6)
half = many.bfloat16()
torch.testing.assert_close(activate(half, ones, ones), activation.activate_plain(half, ones, ones), rtol=8e-3, atol=1e-5)
assert torch.allclose(activate(many, ones, ones, 2 * ones), activation.activate_plain(many, ones, ones, 2 * ones), atol=2e-6)
torch.testing.assert_close(add_biased(many, many, ones), activation.PLAIN.add_biased(many, many, ones))
print("equal")
"""


def test_the_kernels_equal_the_plain_forms():
    """Interpreted on the CPU: rows a token, a request or for all; one and many heads; with and without a table; waves of any
    length, in either layout, soft and loud.
    """
    pytest.importorskip("triton", reason="Triton is only there on Linux")
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "equal", done.stderr


GROUPED = {"TOKENS": 1569, "HEADS": 12, "CHANNELS": 64, "BLOCK_C": 64}
NUMBERS = ("tokens", "total", "first", "stride_b", "stride_n", "stride_h", "stride_g", "stride_r", "stride_p")


@pytest.mark.parametrize(
    ("name", "kinds", "known"),
    [
        ("_unfold", {"x": "*bf16", "y": "*bf16"}, {"WIDTH": 896, "HEAD": 64, "BLOCK": 1024, "TAPS": 3}),
        (
            "_modulate",
            {
                "x": "*fp32",
                "delta": "*bf16",
                "gate": "*fp16",
                "shift": "*fp16",
                "scale": "*fp16",
                "out": "*fp32",
                "y": "*bf16",
            }
            | {"gate_place": "*i64", "place": "*i64"},
            {"DELTA": True, "GATED": True, "PLACED": True, "WIDTH": 896, "BLOCK": 1024, "TAPS": 3},
        ),
        (
            "_add_norm",
            {
                "x": "*fp32",
                "delta": "*bf16",
                "weight": "*fp32",
                "bias": "*fp32",
                "out": "*fp32",
                "y": "*bf16",
                "eps": "fp32",
            },
            {"DELTA": True, "WIDTH": 1280, "BLOCK": 2048},
        ),
        (
            "_rms_norm_rope",
            {"product": "*bf16", "weights": "*bf16", "table": "*fp32", "into": "*bf16", "epsilon": "fp32"},
            {"PARTS": 3, "HEADS": 14, "CHANNELS": 64, "BLOCK_H": 16, "TURNS": True},
        ),
        (
            "_grouped",
            {"qkv": "*bf16", "out": "*bf16", "scale": "fp32"},
            GROUPED | {"MEMBERS": 8, "APART": 196, "NEXT": 1, "GROUPS": 196, "BLOCK_Q": 16, "BLOCK_K": 16},
        ),
        (
            "_grouped",
            {"qkv": "*bf16", "out": "*bf16", "scale": "fp32"},
            GROUPED | {"MEMBERS": 196, "APART": 1, "NEXT": 196, "GROUPS": 8, "BLOCK_Q": 64, "BLOCK_K": 256},
        ),
        ("_swiglu", {"both": "*fp16", "y": "*fp16"}, {"WIDTH": 2560, "BLOCK": 512, "TAPS": 3}),
    ],
)
def test_the_kernels_compile_for_an_h200(name: str, kinds: dict[str, str], known: dict[str, object]):
    """Without a GPU too: what the interpreter accepts the compiler accepts, at the sizes of the large model."""
    pytest.importorskip("triton", reason="Triton is only there on Linux")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.compiler import compile as compiled

    from worker.engines.mmaudio import attention_kernel, kernels

    kernel = getattr(kernels, name, None) or getattr(attention_kernel, name)
    types = {arg: kinds.get(arg, "i32" if arg in NUMBERS else "constexpr") for arg in kernel.arg_names}
    options = {"num_warps": 8 if known.get("BLOCK_K") == 256 or known.get("BLOCK") == 8192 else 4}
    made = compiled(ASTSource(kernel, types, known), target=GPUTarget("cuda", 90, 32), options=options)
    assert "st.local" not in made.asm["ptx"]


def test_another_length_of_film_compiles_nothing():
    """Every number of tokens is an argument that is not specialised on: 16 tokens are no other kernel than 17."""
    pytest.importorskip("triton", reason="Triton is only there on Linux")
    from worker.engines.mmaudio import kernels

    for name in ("_unfold", "_modulate", "_rms_norm_rope", "_swiglu"):
        free = {param.name for param in getattr(kernels, name).params if param.do_not_specialize}
        assert {"tokens", "total", "first"} & set(getattr(kernels, name).arg_names) == free
