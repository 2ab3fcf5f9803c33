"""Captions to the 77 token ids of CLIP: the vocabulary and the rules are open_clip's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from torch import Tensor

from worker.errors import Misconfigured

CONTEXT = 77

Tokenize = Callable[[Sequence[str]], Tensor]
"""Captions -> ids (B, 77) int64."""


@cache
def _open_clip() -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def tokenize(captions: Sequence[str]) -> Tensor:
    """Ids (B, 77): start, byte pairs, end, zeros; what is too long is cut and ends in the end.

    Raises Misconfigured when open_clip is not installed, or what it needs does not fit.
    """
    try:
        tokenizer = _open_clip()
    except (ImportError, RuntimeError, OSError) as error:  # it is missing, or torchvision was built for another torch
        raise Misconfigured(
            f"captions cannot be tokenised: open_clip does not load ({error}); pip install open_clip_torch, "
            "and the torchvision that goes with torch"
        ) from error
    ids: Tensor = tokenizer(list(captions), context_length=CONTEXT)
    return ids
