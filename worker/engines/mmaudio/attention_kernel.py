"""Attention within many small groups as one Triton kernel, read from and written to where the tokens lie.

Synchformer's patches attend to those of their place (8 of them) or of their moment (196), and to the class token. Gathered
into batches for a general kernel, every token would be copied six times, and groups of eight would fill a tile by an eighth.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN202

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _grouped(
    qkv, out, scale,
    TOKENS: tl.constexpr, MEMBERS: tl.constexpr, APART: tl.constexpr, NEXT: tl.constexpr, GROUPS: tl.constexpr,
    HEADS: tl.constexpr, CHANNELS: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    head, group = tl.program_id(0) % HEADS, tl.program_id(0) // HEADS
    first = (group // GROUPS).to(tl.int64) * TOKENS  # the segment's class token
    base = 1 + (group % GROUPS) * NEXT
    width: tl.constexpr = HEADS * CHANNELS
    channel = tl.arange(0, BLOCK_C)
    wide = channel < CHANNELS
    member = tl.program_id(1) * BLOCK_Q + tl.arange(0, BLOCK_Q)
    asking = first + base + member * APART
    asks = (member < MEMBERS)[:, None] & wide[None, :]
    place = qkv + asking[:, None] * (3 * width) + head * CHANNELS + channel[None, :]
    q = tl.load(place, mask=asks, other=0.0)
    key = tl.arange(0, BLOCK_K)  # 0 is the class token
    heard = first + tl.where(key == 0, 0, base + (key - 1) * APART)
    known = (key <= MEMBERS)[:, None] & wide[None, :]
    place = qkv + heard[:, None] * (3 * width) + head * CHANNELS + channel[None, :]
    k = tl.load(place + width, mask=known, other=0.0)
    scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
    scores = tl.where((key <= MEMBERS)[None, :], scores, float("-inf"))
    shares = tl.exp(scores - tl.max(scores, axis=1)[:, None])
    total = tl.sum(shares, axis=1)
    v = tl.load(place + 2 * width, mask=known, other=0.0)
    answer = tl.dot(shares.to(v.dtype), v, input_precision="ieee") / total[:, None]
    place = out + asking[:, None] * width + head * CHANNELS + channel[None, :]
    tl.store(place, answer.to(out.dtype.element_ty), mask=asks)


def grouped_attention(qkv: Tensor, out: Tensor, heads: int, groups: int, *, over_time: bool) -> None:
    """What each patch hears from its group and the class token, into all but the first rows of `out`.

    qkv (S, 1 + times * places, 3 D) contiguous, class token first; out (S, 1 + times * places, D). Over time a group is a
    place and has its patch of every moment, else it is a moment and has all its places; `groups` of them.
    """
    segments, tokens, width = out.shape
    members = (tokens - 1) // groups
    channels = width // heads
    block_q = min(64, max(16, triton.next_power_of_2(members)))
    _grouped[segments * groups * heads, triton.cdiv(members, block_q)](
        qkv, out, channels**-0.5,
        TOKENS=tokens, MEMBERS=members, APART=groups if over_time else 1, NEXT=1 if over_time else members, GROUPS=groups,
        HEADS=heads, CHANNELS=channels, BLOCK_C=max(16, triton.next_power_of_2(channels)), BLOCK_Q=block_q,
        BLOCK_K=max(16, triton.next_power_of_2(members + 1)), num_warps=1 if members < 16 else 8,
    )  # fmt: skip
