"""Synchformer's visual encoder: what moves when, in segments of 16 frames at 25 fps, eight features each.

Keys of the checkpoint under `vfeat_extractor.`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worker.engines.mmaudio.choice import fused_or_plain
from worker.engines.mmaudio.clip_towers import SelfAttention
from worker.engines.mmaudio.layers import Linear, attend
from worker.engines.mmaudio.lengths import SEGMENT_FRAMES, SEGMENT_STRIDE
from worker.engines.mmaudio.pointwise import PLAIN, Stream, pointwise
from worker.engines.mmaudio.shapes import SynchformerShape

TUBELET = (2, 16, 16)
TIMES = SEGMENT_FRAMES // TUBELET[0]
PATCHES = (224 // 16) ** 2
EPS = 1e-6


@cache
def grouped_kernel(device: torch.device) -> Callable[..., None] | None:
    """`attention_kernel.grouped_attention` on a GPU where Triton is installed, can compile, and gives the plain numbers."""
    if device.type != "cuda":
        return None

    def fused() -> Callable[..., None]:
        from worker.engines.mmaudio.attention_kernel import grouped_attention

        shape = SynchformerShape()
        x = torch.linspace(-2, 3, (1 + TIMES * PATCHES) * shape.width, device=device).sin().view(1, -1, shape.width)
        with torch.inference_mode():
            for over_time in (True, False):
                probe = DividedAttention(shape.width, shape.heads, over_time=over_time).to(device, torch.bfloat16)
                product, out = probe.qkv(x), torch.empty_like(x, dtype=torch.bfloat16)
                grouped_attention(product, out, shape.heads, PATCHES if over_time else TIMES, over_time=over_time)
                torch.testing.assert_close(probe.proj(out)[:, 1:], probe(x)[:, 1:], atol=2e-2, rtol=2e-2)
        return grouped_attention

    return fused_or_plain("Synchformer's attention", fused, None)


class DividedAttention(nn.Module):
    """Patches attend within their place (time) or within their moment (space); the class token attends to everything."""

    def __init__(self, width: int, heads: int, *, over_time: bool) -> None:
        super().__init__()
        self.heads, self.over_time = heads, over_time
        self.qkv, self.proj = Linear(width, 3 * width), Linear(width, width)

    def forward(self, x: Tensor, *, fused: bool = False) -> Tensor:
        """x (S, 1 + 8 * 196, D), class token first."""
        product = self.qkv(x)
        q, k, v = product.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (S, h, N, C)
        whole = attend(q[:, :, :1], k, v)  # (S, 1, D)
        # Tiles of float32 would not fit into a processor's own memory.
        if fused and product.element_size() == 2 and (grouped := grouped_kernel(x.device)) is not None:
            out = torch.empty_like(product[..., : product.shape[-1] // 3])
            out[:, :1] = whole
            groups = PATCHES if self.over_time else TIMES
            grouped(product, out, self.heads, groups, over_time=self.over_time)
            return self.proj(out)
        answer = attend(self._groups(q), *(self._with_class(part) for part in (k, v)))  # (S * groups, members, D)
        grouped = answer.unflatten(0, (len(x), -1))
        patches = (grouped.transpose(1, 2) if self.over_time else grouped).flatten(1, 2)
        return self.proj(torch.cat([whole, patches], dim=1))

    def _groups(self, part: Tensor) -> Tensor:
        """(S, h, 1 + N, C) -> (S * groups, h, members, C) without the class token."""
        grid = part[:, :, 1:].unflatten(2, (TIMES, PATCHES))  # (S, h, t, n, C)
        return grid.permute(0, 3, 1, 2, 4).flatten(0, 1) if self.over_time else grid.transpose(1, 2).flatten(0, 1)

    def _with_class(self, part: Tensor) -> Tensor:
        groups = PATCHES if self.over_time else TIMES
        head = part[:, None, :, :1].expand(-1, groups, -1, -1, -1).flatten(0, 1)
        return torch.cat([head, self._groups(part)], dim=2)


class PlainMLP(nn.Module):
    """Two layers with an exact GELU between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = Linear(width, 4 * width), Linear(4 * width, width)

    def forward(self, x: Tensor, *, fused: bool = False) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class DividedBlock(nn.Module):
    """Time first, then space, then the MLP; the stream stays float32."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width, eps=EPS) for _ in range(3))
        self.timeattn = DividedAttention(width, heads, over_time=True)
        self.attn = DividedAttention(width, heads, over_time=False)
        self.mlp = PlainMLP(width)
        self.fused = False

    def fuse(self) -> None:
        """Add to the stream and normalise it in one pass."""
        self.fused = True

    def forward(self, stream: Stream) -> Stream:
        way, dtype = pointwise(stream.x.device) if self.fused else PLAIN, self.attn.qkv.weight.dtype
        for norm, part in ((self.norm3, self.timeattn), (self.norm1, self.attn), (self.norm2, self.mlp)):
            x, normed = way.add_norm(stream, norm.weight, norm.bias, norm.eps, dtype)
            stream = Stream(x, part(normed, fused=self.fused))
        return stream


class Gathering(nn.Module):
    """One transformer layer that gathers a moment's patches in its class token; only that token is computed."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.self_attn = SelfAttention(width, heads)
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=EPS), nn.LayerNorm(width, eps=EPS)
        self.linear1, self.linear2 = Linear(width, 4 * width), Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(M, 196, D) -> (M, D)."""
        head = self.cls_token.expand(len(x), -1, -1)
        heard = head + self.self_attn.first(self.norm1(torch.cat([head, x], dim=1)))
        out: Tensor = heard + self.linear2(F.gelu(self.linear1(self.norm2(heard))))
        return out[:, 0]


class _Patching(nn.Module):
    """Tubelets of 2 frames x 16 x 16 pixels become tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(3, width, TUBELET, stride=TUBELET)

    def forward(self, video: Tensor) -> Tensor:
        """(B, F, 3, 224, 224) -> (B, F / 2, 196, D)."""
        frames, size, _ = TUBELET
        cut = video.unflatten(1, (-1, frames)).unflatten(-1, (-1, size)).unflatten(-3, (-1, size))
        rows = cut.permute(0, 1, 4, 6, 3, 2, 5, 7).flatten(4).flatten(2, 3)  # (B, F / 2, 196, 3 * 2 * 16 * 16)
        return F.linear(rows, self.proj.weight.flatten(1), self.proj.bias)


class Synchformer(nn.Module):
    """The visual encoder."""

    def __init__(self, shape: SynchformerShape) -> None:
        super().__init__()
        width = shape.width
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, PATCHES + 1, width))
        self.temp_embed = nn.Parameter(torch.zeros(1, TIMES, width))
        self.patch_embed_3d = _Patching(width)
        self.blocks = nn.ModuleList(DividedBlock(width, shape.heads) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.spatial_attn_agg = Gathering(width, shape.heads)

    def to_precision(self, dtype: torch.dtype) -> Synchformer:
        for block in self.blocks:
            assert isinstance(block, DividedBlock)
            for products in (block.timeattn, block.attn, block.mlp):
                products.to(dtype)
        return self

    @staticmethod
    def windows(tokens: Tensor) -> Tensor:
        """Tubelets (B, T, 196, D) -> overlapping segments (B, S, 8, 196, D)."""
        return tokens.unfold(1, TIMES, SEGMENT_STRIDE // TUBELET[0]).movedim(-1, 2)

    def segments(self, tokens: Tensor) -> Tensor:
        """Tokens of whole segments (S, 8, 196, D), before positions -> features (S, 8, D)."""
        placed = tokens + self.pos_embed[:, None, 1:] + self.temp_embed[:, :, None]
        head = (self.cls_token + self.pos_embed[:, :1]).expand(len(tokens), -1, -1)
        x = torch.cat([head, placed.flatten(1, 2)], dim=1)
        stream = Stream(x)
        for block in self.blocks:
            stream = block(stream)
        patches = self.norm(stream.settled()[:, 1:]).unflatten(1, (TIMES, PATCHES))
        out: Tensor = self.spatial_attn_agg(patches.flatten(0, 1))
        return out.unflatten(0, (len(tokens), TIMES))

    def forward(self, video: Tensor) -> Tensor:
        """(B, F, 3, 224, 224) at 25 fps in -1..1 -> (B, 8 * segments, D); frames after the last segment are not used.

        Segments overlap by half, so each tubelet is embedded once and used in two of them.
        """
        count = (video.shape[1] - SEGMENT_FRAMES) // SEGMENT_STRIDE + 1
        used = video[:, : (count - 1) * SEGMENT_STRIDE + SEGMENT_FRAMES]
        windows = self.windows(self.patch_embed_3d(used))
        return self.segments(windows.flatten(0, 1)).unflatten(0, (len(video), count)).flatten(1, 2)
