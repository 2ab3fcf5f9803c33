"""Copies between host and device through pinned memory, so that neither waits for more than the copy itself."""

from __future__ import annotations

import torch
from torch import Tensor


def on_device(x: Tensor, device: torch.device) -> Tensor:
    """Queued behind the device's work; from pageable memory the host would wait until that work is done."""
    if device.type != "cuda" or x.is_cuda:
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)


def on_host(x: Tensor) -> Tensor:
    """At the bus's full speed, waiting once, for this copy alone."""
    if not x.is_cuda:
        return x
    host = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
    host.copy_(x, non_blocking=True)
    arrived = torch.cuda.Event(blocking=True)
    arrived.record()
    arrived.synchronize()
    return host
