"""The anti-aliased activation: its formula, its plain form; its fused kernel is interpreted with the others in test_mmaudio_kernels."""

from __future__ import annotations

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from worker.engines.mmaudio import activation
from worker.engines.mmaudio.activation import activate_blocks, activate_plain
from worker.engines.mmaudio.low_pass import TAPS


def by_the_formula(x: list[float], rate: float, depth: float) -> list[float]:
    """Sample by sample, ends held."""
    length = len(x)

    def held(at: int) -> float:
        return x[min(max(at, 0), length - 1)]

    u = []
    for t in range(length):
        u.append(2 * sum(TAPS[2 * j + 1] * held(t + 2 - j) for j in range(6)))
        u.append(2 * sum(TAPS[2 * j] * held(t + 3 - j) for j in range(6)))
    s = [v + math.sin(v * rate) ** 2 * depth for v in u]
    return [sum(TAPS[k] * s[min(max(2 * t + k - 5, 0), 2 * length - 1)] for k in range(12)) for t in range(length)]


@pytest.mark.parametrize("activate", [activate_plain, activate_blocks])
@pytest.mark.parametrize("length", [1, 2, 5, 13, 16, 37])
def test_both_forms_are_the_formula(length: int, activate):
    """Polyphase convolutions and products of blocks give what the formula gives, at the ends too."""
    x = torch.linspace(-2, 3, 2 * length).view(1, 2, length)
    rate, depth = torch.tensor([0.9, 1.2]), torch.tensor([1.1, 0.8])
    made = activate(x, rate, depth)
    for c in range(2):
        expected = by_the_formula(x[0, c].tolist(), float(rate[c]), float(depth[c]))
        assert made[0, c].tolist() == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("channels_at_once", [1, 2, 3])
def test_channels_taken_a_few_at_a_time_are_each_still_themselves(channels_at_once: int, monkeypatch):
    """A large layer goes through in parts, the last one smaller; every channel keeps its own rate and depth."""
    x, rate, depth = torch.randn(2, 5, 40), torch.rand(5) + 0.5, torch.rand(5) + 0.5
    monkeypatch.setattr(activation, "CACHED", channels_at_once * 40)
    torch.testing.assert_close(activate_blocks(x, rate, depth), activate_plain(x, rate, depth), atol=2e-6, rtol=0)


def test_the_filter_sums_to_one():
    """A constant stays where it is before the snake."""
    assert sum(TAPS) == pytest.approx(1.0, abs=1e-6)
    assert tuple(reversed(TAPS)) == TAPS


def test_the_fused_kernel_compiles_for_an_h200():
    """Without a GPU too: what the interpreter accepts the compiler accepts, and a lane's state fits its registers."""
    pytest.importorskip("triton", reason="Triton is only there on Linux")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.compiler import compile as compiled

    from worker.engines.mmaudio.activation_kernel import _activate

    kinds = dict.fromkeys(("x", "y", "bias"), "*fp16") | dict.fromkeys(("rate", "depth"), "*fp32")
    numbers = dict.fromkeys(("channels", "length", "stride_b", "stride_t"), "i32")
    known = {"stride_c": 1, "EXACT": False, "GROUP": 16, "BLOCK_C": 32, "BLOCK_G": 4}
    source = ASTSource(_activate, kinds | numbers | dict.fromkeys(known, "constexpr"), known)
    made = compiled(source, target=GPUTarget("cuda", 90, 32))
    assert "st.local" not in made.asm["ptx"]
    assert made.metadata.shared == 0


def test_filters_are_brought_to_a_device_once():
    """From the second activation on nothing is copied."""
    x, one = torch.ones(1, 3, 16, device="meta"), torch.ones(3, device="meta")
    copies: list[str] = []

    class Copies(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            copies.extend([str(func)] * ("copy" in str(func)))
            return func(*args, **(kwargs or {}))

    for activate in (activate_plain, activate_blocks):
        activate(x, one, one)
        with Copies():
            activate(x, one, one)
    assert copies == []
