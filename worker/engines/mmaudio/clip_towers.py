"""The two CLIP towers (ViT-H-14-378, quick GELU) as MMAudio uses them, with the parameter names of open_clip."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worker.engines.mmaudio.layers import Linear, attend
from worker.engines.mmaudio.pointwise import PLAIN, Stream, pointwise
from worker.engines.mmaudio.shapes import ImageShape, TextShape

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


class SelfAttention(nn.Module):
    """Multi-head attention with one in-projection, rows q, k, v."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = Linear(width, width)

    def forward(self, x: Tensor, *, causal: bool = False) -> Tensor:
        y = F.linear(x.to(self.in_proj_weight.dtype), self.in_proj_weight, self.in_proj_bias)
        q, k, v = y.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, h, N, C)
        return self.out_proj(attend(q, k, v, causal=causal))

    def first(self, x: Tensor) -> Tensor:
        """What token 0 hears from all tokens: (B, N, D) -> (B, 1, D)."""
        width = x.shape[-1]
        x = x.to(self.in_proj_weight.dtype)
        of_first = F.linear(x[:, :1], self.in_proj_weight[:width], self.in_proj_bias[:width])
        of_all = F.linear(x, self.in_proj_weight[width:], self.in_proj_bias[width:])
        k, v = of_all.unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q = of_first.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return self.out_proj(attend(q, k, v))


class QuickMLP(nn.Module):
    """Two layers with x * sigmoid(1.702 x) between, which is silu(1.702 x) / 1.702."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc, self.c_proj = Linear(width, 4 * width), Linear(4 * width, width)
        self.fused = False

    def fuse(self) -> None:
        """Bring the factor into the weights: one pass over the widest tensor of the tower instead of three."""
        for layer, name, factor in (
            (self.c_fc, "weight", 1.702),
            (self.c_fc, "bias", 1.702),
            (self.c_proj, "weight", 1 / 1.702),
        ):
            setattr(layer, name, nn.Parameter(layer.get_parameter(name).detach() * factor, requires_grad=False))
        self.fused = True

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.c_fc(x)
        return self.c_proj(F.silu(hidden) if self.fused else hidden * torch.sigmoid(1.702 * hidden))


class Layer(nn.Module):
    """A pre-norm transformer block; the stream stays float32."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = SelfAttention(width, heads), QuickMLP(width)

    def forward(self, stream: Stream, *, causal: bool = False) -> Stream:
        x, normed = self._norm(self.ln_1, stream)
        x, normed = self._norm(self.ln_2, Stream(x, self.attn(normed, causal=causal)))
        return Stream(x, self.mlp(normed))

    def first(self, stream: Stream) -> Tensor:
        """Token 0 after this block, without computing the others: (B, 1, D)."""
        x, normed = self._norm(self.ln_1, stream)
        x, normed = self._norm(self.ln_2, Stream(x[:, :1], self.attn.first(normed)))
        return x + self.mlp(normed)

    def _norm(self, norm: nn.LayerNorm, stream: Stream) -> tuple[Tensor, Tensor]:
        way = pointwise(stream.x.device) if self.mlp.fused else PLAIN
        return way.add_norm(stream, norm.weight, norm.bias, norm.eps, self.attn.in_proj_weight.dtype)


class Layers(nn.Module):
    """The stack, under the name `transformer.resblocks`."""

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Layer(width, heads) for _ in range(layers))

    def to_precision(self, dtype: torch.dtype) -> None:
        for layer in self.resblocks:
            assert isinstance(layer, Layer)
            layer.attn.to(dtype)
            layer.mlp.to(dtype)


@cache
@torch.inference_mode(mode=False)
def _colours(device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each colour, (3, 1, 1); brought to a device once, since such a copy waits for the device."""
    mean, deviation = torch.tensor([MEAN, DEVIATION], device=device)[..., None, None].unbind()
    return mean, deviation


class ImageTower(nn.Module):
    """One vector of length one for each frame. Keys of the checkpoint under `visual.`."""

    def __init__(self, shape: ImageShape) -> None:
        super().__init__()
        self.shape = shape
        self.side = shape.image // shape.patch
        self.class_embedding = nn.Parameter(torch.zeros(shape.width))
        self.positional_embedding = nn.Parameter(torch.zeros(self.side**2 + 1, shape.width))
        self.proj = nn.Parameter(torch.zeros(shape.width, shape.embed))
        self.conv1 = nn.Conv2d(3, shape.width, shape.patch, stride=shape.patch, bias=False)
        self.ln_pre, self.ln_post = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.transformer = Layers(shape.width, shape.heads, shape.layers)

    def raw(self, pixels: Tensor) -> Tensor:
        """Pixels (F, 3, H, W) in 0..1 -> features before normalisation (F, embed)."""
        mean, deviation = _colours(pixels.device)
        used, patch = self.side * self.shape.patch, self.shape.patch
        normalised = (pixels[..., :used, :used] - mean) / deviation
        patches = normalised.unflatten(-1, (self.side, patch)).unflatten(-3, (self.side, patch))
        rows = patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)  # (F, side^2, 3 * patch^2)
        tokens = F.linear(rows, self.conv1.weight.flatten(1))
        head = self.class_embedding.expand(len(pixels), 1, -1)
        x: Tensor = self.ln_pre(torch.cat([head, tokens], dim=1) + self.positional_embedding)
        *most, last = self.transformer.resblocks
        stream = Stream(x)
        for layer in most:
            stream = layer(stream)
        assert isinstance(last, Layer)
        return self.ln_post(last.first(stream)[:, 0]) @ self.proj

    def forward(self, pixels: Tensor) -> Tensor:
        return F.normalize(self.raw(pixels), dim=-1)


class TextTower(nn.Module):
    """Every token's vector, length one, padding included; no pooling."""

    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        # Drawing random numbers on the meta device would import TorchDynamo, which takes two seconds.
        self.token_embedding = nn.Embedding.from_pretrained(torch.zeros(shape.vocabulary, shape.width))
        self.positional_embedding = nn.Parameter(torch.zeros(shape.context, shape.width))
        self.transformer = Layers(shape.width, shape.heads, shape.layers)
        self.ln_final = nn.LayerNorm(shape.width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids (B, 77) -> features (B, 77, width)."""
        stream = Stream(self.token_embedding(tokens.long()) + self.positional_embedding)
        for layer in self.transformer.resblocks:
            stream = layer(stream, causal=True)
        return F.normalize(self.ln_final(stream.settled()), dim=-1)
