"""The anti-aliased activation: its formula, its plain form, its fused kernel."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
import torch

from worker.pipeline.mmaudio.activation import TAPS, activate_blocks, activate_plain


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


def test_the_filter_sums_to_one():
    """A constant stays where it is before the snake."""
    assert sum(TAPS) == pytest.approx(1.0, abs=1e-6)
    assert tuple(reversed(TAPS)) == TAPS


INTERPRETED = """
import torch
from worker.pipeline.mmaudio.activation import activate_plain
from worker.pipeline.mmaudio.activation_kernel import activate
for x in (torch.randn(1, 3, 19), torch.randn(2, 9, 3).transpose(1, 2), torch.randn(1, 1, 1)):
    rate, depth = torch.rand(x.shape[1]) + 0.5, torch.rand(x.shape[1]) + 0.5
    made = activate(x, rate, depth)
    assert made.stride() == x.stride()
    assert torch.allclose(made, activate_plain(x, rate, depth), atol=2e-6)
print("equal")
"""


def test_the_fused_kernel_equals_the_plain_form():
    """Interpreted on the CPU, the Triton kernel gives the same samples in either memory layout."""
    pytest.importorskip("triton", reason="Triton is only there on Linux")
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "equal", done.stderr
