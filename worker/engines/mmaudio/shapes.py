"""Dimensions of the networks, known without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowShape:
    """Dimensions of a flow network; `v2` names the one later checkpoint with other activations and time embedding."""

    latent: int
    width: int
    heads: int
    depth: int
    fused: int
    v2: bool = False
    clip: int = 1024
    sync: int = 768
    text: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class VAEShape:
    """Dimensions of a decoder: mel bands, latent channels, width of the lowest level (times 1, 2, 4)."""

    mels: int
    latent: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VocoderShape:
    """Dimensions of a vocoder: each stage halves the channels and lengthens by its rate."""

    mels: int
    rates: tuple[int, ...]
    kernels: tuple[int, ...]
    channels: int = 1536
    clamps: bool
    """v2 ends in a clamp and without a bias, the older 16 kHz one in tanh and with a bias."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageShape:
    """Dimensions of the image tower; frames may be a few pixels larger than `image`, the rest is not looked at."""

    width: int = 1280
    layers: int = 32
    heads: int = 16
    image: int = 378
    patch: int = 14
    embed: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TextShape:
    """Dimensions of the text tower."""

    width: int = 1024
    layers: int = 24
    heads: int = 16
    context: int = 77
    vocabulary: int = 49408


@dataclass(frozen=True, slots=True, kw_only=True)
class SynchformerShape:
    """Dimensions of the encoder; frames are 224 x 224."""

    width: int = 768
    depth: int = 12
    heads: int = 12
