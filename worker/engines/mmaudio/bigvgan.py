"""The vocoders: BigVGAN from mel spectrograms to waveforms, weight norm folded, one kernel for each activation."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worker.engines.mmaudio.activation import SnakeActivation, fastest
from worker.engines.mmaudio.shapes import VocoderShape

KERNELS = (3, 7, 11)
DILATIONS = (1, 3, 5)
ACTIVATION_REACH = 5
"""Samples an activation hears to each side: three by the filter up, two more by the filter down."""
END_REACH = 3
"""The same for the first and the last convolution."""


def _along(x: Tensor) -> Tensor:
    """(B, C, L) as an image of height one: with channels last the fast image kernels apply."""
    return x.unsqueeze(2)


class Convolution(nn.Conv1d):
    """A convolution that keeps the length, and channels last on a GPU."""

    def forward(self, x: Tensor) -> Tensor:
        return self._as_image(x, self.bias) if x.is_cuda else super().forward(x)

    def without_bias(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """On a GPU without the bias, and the bias: whoever reads the answer adds it, which spares a pass over it."""
        return (self._as_image(x, None), self.bias) if x.is_cuda else (self(x), None)

    def _as_image(self, x: Tensor, bias: Tensor | None) -> Tensor:
        padding, dilation = (0, int(self.padding[0])), (1, self.dilation[0])
        return F.conv2d(_along(x), _along(self.weight), bias, padding=padding, dilation=dilation).squeeze(2)


class Lengthening(nn.ConvTranspose1d):
    """A transposed convolution that keeps channels last on a GPU."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if not x.is_cuda:
            return super().forward(x)
        stride, padding = (1, self.stride[0]), (0, int(self.padding[0]))
        y = F.conv_transpose2d(_along(x), _along(self.weight), self.bias, stride=stride, padding=padding)
        return y.squeeze(2)


class AMPBlock(nn.Module):
    """Three pairs of convolutions, each after an anti-aliased activation."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            Convolution(channels, channels, kernel, dilation=d, padding=(kernel * d - d) // 2) for d in DILATIONS
        )
        self.convs2 = nn.ModuleList(Convolution(channels, channels, kernel, padding=kernel // 2) for _ in DILATIONS)
        self.activations = nn.ModuleList(SnakeActivation(channels) for _ in range(2 * len(DILATIONS)))

    def forward(self, x: Tensor) -> Tensor:
        for m, (first, second) in enumerate(zip(self.convs1, self.convs2, strict=True)):
            assert isinstance(first, Convolution)
            assert isinstance(second, Convolution)
            t, bias = first.without_bias(self.activations[2 * m](x))
            y, last = second.without_bias(self.activations[2 * m + 1](t, bias))
            x = x + y if last is None else fastest(x.device).add_biased(x, y, last)
        return x


class BigVGAN(nn.Module):
    """The generator; parameters as the official file has them once `g * v / |v|` is multiplied out."""

    def __init__(self, shape: VocoderShape) -> None:
        super().__init__()
        self.shape = shape
        widths = [shape.channels // 2**i for i in range(len(shape.rates) + 1)]
        self.conv_pre = Convolution(shape.mels, shape.channels, 7, padding=3)
        self.ups = nn.ModuleList(
            nn.ModuleList([Lengthening(widths[i], widths[i + 1], kernel, stride=rate, padding=(kernel - rate) // 2)])
            for i, (rate, kernel) in enumerate(zip(shape.rates, shape.kernels, strict=True))
        )
        self.resblocks = nn.ModuleList(AMPBlock(width, kernel) for width in widths[1:] for kernel in KERNELS)
        self.activation_post = SnakeActivation(widths[-1])
        self.conv_post = Convolution(widths[-1], 1, 7, padding=3, bias=not shape.clamps)

    @property
    def dtype(self) -> torch.dtype:
        return self.conv_pre.weight.dtype

    @property
    def halo(self) -> int:
        """Mel frames beyond which nothing is heard: half the receptive field, counted from the waveform back to the mel."""
        widest = max(KERNELS) // 2
        reach = END_REACH + ACTIVATION_REACH
        for rate, kernel in zip(reversed(self.shape.rates), reversed(self.shape.kernels), strict=True):
            reach += sum(widest * d + widest + 2 * ACTIVATION_REACH for d in DILATIONS)
            reach = math.ceil((reach + (kernel + rate) // 2 - 1) / rate)
        return reach + END_REACH

    def forward(self, mel: Tensor) -> Tensor:
        """Log mel (B, mels, M) -> waveform (B, 1, M * hop) float32 within -1..1."""
        x = mel.to(self.dtype)
        if x.is_cuda:
            x = _along(x).contiguous(memory_format=torch.channels_last).squeeze(2)
        x = self.conv_pre(x)
        for i, up in enumerate(self.ups):
            assert isinstance(up, nn.ModuleList)
            x = up[0](x)
            stage = [block(x) for block in self.resblocks[i * len(KERNELS) : (i + 1) * len(KERNELS)]]
            x = (stage[0] + stage[1] + stage[2]) / len(KERNELS)
        wave = self.conv_post(self.activation_post(x)).float()
        # An infinity, out of half precision's range, would be full scale; as a NaN it is seen.
        return (wave.clamp(-1.0, 1.0) if self.shape.clamps else torch.tanh(wave)) + 0.0 * wave

    def channels_last(self) -> None:
        """Keep the convolutions' weights as a GPU's image kernels want them, in place: they would turn them around at every call."""
        for part in self.modules():
            if isinstance(part, Convolution):
                part.weight = nn.Parameter(part.weight.detach().mT.contiguous().mT, requires_grad=False)
