"""The decoder from latents to mel spectrograms: one-dimensional, magnitude preserving, without biases.

Keys of the checkpoint under `decoder.`, and `data_mean`, `data_std`. Tokens are channels last: (B, N, C).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worker.engines.mmaudio.layers import TokenConv
from worker.engines.mmaudio.shapes import VAEShape

LIMIT = 256.0
"""Activations are held within this in the levels."""


def _active(x: Tensor) -> Tensor:
    return F.silu(x) / 0.596


def _pixel_norm(x: Tensor) -> Tensor:
    """Unit root mean square over the channels."""
    return x / (1e-4 + x.square().mean(dim=-1, keepdim=True).sqrt())


def _mix(a: Tensor, b: Tensor) -> Tensor:
    return (a + 0.3 * (b - a)) / math.sqrt(0.7**2 + 0.3**2)


def _conv(inputs: int, outputs: int, kernel: int = 3) -> TokenConv:
    return TokenConv(inputs, outputs, kernel, bias=False)


class ResidualBlock(nn.Module):
    """Two convolutions mixed into the normalised input."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _conv(inputs, outputs), _conv(outputs, outputs)
        self.nin_shortcut = _conv(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        x = _pixel_norm(x)
        h = self.conv2(_active(self.conv1(_active(x))))
        return _mix(self.nin_shortcut(x) if self.nin_shortcut is not None else x, h)


class GlobalAttention(nn.Module):
    """One head over all positions; q, k and v are normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.proj_out = _conv(width, 3 * width, 1), _conv(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (_pixel_norm(part) for part in self.qkv(x).unflatten(-1, (-1, 3)).unbind(-1))
        answer = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        return _mix(x, self.proj_out(answer))


class Middle(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.block_1, self.block_2 = ResidualBlock(width, width), ResidualBlock(width, width)
        self.attn_1: nn.Module = GlobalAttention(width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block_2(self.attn_1(self.block_1(x)))
        return out.clamp(-LIMIT, LIMIT)


class Upsampling(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = _conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.repeat_interleave(2, dim=1))


class UpLevel(nn.Module):
    """Three residual blocks at one width, then twice the length where `doubles`."""

    def __init__(self, inputs: int, outputs: int, *, doubles: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResidualBlock(inputs if i == 0 else outputs, outputs) for i in range(3))
        self.upsample = Upsampling(outputs) if doubles else None

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x).clamp(-LIMIT, LIMIT)
        return self.upsample(x) if self.upsample is not None else x


class Decoder(nn.Module):
    def __init__(self, shape: VAEShape) -> None:
        super().__init__()
        top = 4 * shape.width
        self.conv_in = _conv(shape.latent, top)
        self.mid = Middle(top)
        self.up = nn.ModuleList(
            UpLevel(*widths, doubles=level == 1)
            for level, widths in enumerate([(top // 2, top // 4), (top, top // 2), (top, top)])
        )
        self.conv_out = _conv(shape.width, shape.mels)
        self.learnable_gain = nn.Parameter(torch.zeros(()))

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(_active(x))


class VAE(nn.Module):
    """Latents to log mel spectrograms, in float32."""

    def __init__(self, shape: VAEShape) -> None:
        super().__init__()
        self.shape = shape
        self.data_mean = nn.Parameter(torch.zeros(1, shape.mels, 1))
        self.data_std = nn.Parameter(torch.ones(1, shape.mels, 1))
        self.decoder = Decoder(shape)

    def normalise(self) -> VAE:
        """Bring each output channel's weights to unit magnitude, once, as they are used; the gain goes into conv_out."""
        for part in self.decoder.modules():
            if isinstance(part, TokenConv):
                weight = part.weight.detach()
                norms = weight.flatten(1).norm(dim=1)[:, None, None]
                part.weight = nn.Parameter(weight / (norms + 1e-4 * math.sqrt(weight[0].numel())), requires_grad=False)
        out = self.decoder.conv_out
        out.weight = nn.Parameter(out.weight * (self.decoder.learnable_gain.detach() + 1), requires_grad=False)
        return self

    def normalised(self, z: Tensor) -> Tensor:
        """Latents (B, N, latent) -> mel in units of its mean and deviation (B, mels, 2N)."""
        out: Tensor = self.decoder(z)
        return out.transpose(1, 2)

    def forward(self, z: Tensor) -> Tensor:
        """Latents (B, N, latent), unnormalised -> log mel (B, mels, 2N)."""
        return self.normalised(z) * self.data_std + self.data_mean
