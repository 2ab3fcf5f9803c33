"""Captions to the 77 token ids of CLIP: the vocabulary and the rules are open_clip's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from worker.errors import Misconfigured

CONTEXT = 77
START, END = 49406, 49407
BROKEN = (ImportError, RuntimeError, OSError)
"""What importing open_clip raises where it is missing, or where torchvision was built for another torch."""

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
    except BROKEN as error:
        raise Misconfigured(
            f"captions cannot be tokenised: open_clip does not load ({error}); pip install open_clip_torch, "
            "and the torchvision that goes with torch"
        ) from error
    ids: Tensor = tokenizer(list(captions), context_length=CONTEXT)
    return ids


def hashed(captions: Sequence[str]) -> Tensor:
    """Stand-in ids for generated weights, to which words mean nothing: deterministic, different for different captions."""
    import zlib

    rows = torch.zeros(len(captions), CONTEXT, dtype=torch.int64)
    for row, caption in zip(rows, captions, strict=True):
        ids = [START, *(zlib.crc32(word.encode()) % START for word in caption.lower().split()[: CONTEXT - 2]), END]
        row[: len(ids)] = torch.tensor(ids)
    return rows


def for_generated_weights() -> Tokenize:
    """open_clip's tokenizer where it is installed, stand-in ids elsewhere."""
    try:
        _open_clip()
    except BROKEN:
        return hashed
    return tokenize
