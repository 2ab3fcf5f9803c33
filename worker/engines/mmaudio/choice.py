"""Fused kernels where they work, plain PyTorch where they do not, and why."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")
log = logging.getLogger(__name__)
WHY_PLAIN: dict[str, str] = {}
"""Where a GPU computes plainly, by what is computed."""


def fused_or_plain(what: str, fused: Callable[[], T], plain: U) -> T | U:
    """What `fused` answers, which makes and tries the kernels. Whatever is wrong with them, the plain way gives the right numbers:
    no Triton, no C compiler for it to use, or other numbers."""
    try:
        return fused()
    except Exception as error:  # noqa: BLE001
        WHY_PLAIN[what] = (str(error).strip() or type(error).__name__).splitlines()[0]
        log.warning("fused kernels (%s) are not available, falling back to plain PyTorch: %s", what, error)
        return plain
