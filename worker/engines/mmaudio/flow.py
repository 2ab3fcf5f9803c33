"""The flow network: from noisy latents, a time and conditions to a velocity. Its parts; `evaluation.py` goes through them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worker.engines.mmaudio.blocks import Block, FinalLayer, FusedBlock, JointBlock, Tables, make_room
from worker.engines.mmaudio.copies import on_device
from worker.engines.mmaudio.layers import GatedMLP, Linear, TokenConv, rotations
from worker.engines.mmaudio.shapes import FlowShape

TEXT_TOKENS = 77


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the network hears about C requests: projected tokens and pooled vectors, independent of time and noise."""

    clip: Tensor  # (C, Nc, D)
    text: Tensor  # (C, 77, D)
    sync: Tensor  # (C, Ns, D), not yet stretched to the latents
    clip_pooled: Tensor  # (C, D)
    text_pooled: Tensor  # (C, D)

    def take(self, which: Tensor) -> Conditions:
        return Conditions(*(getattr(self, name)[which] for name in self.__slots__))

    @staticmethod
    def cat(parts: list[Conditions]) -> Conditions:
        return Conditions(*(torch.cat([getattr(p, name) for p in parts]) for name in Conditions.__slots__))


class TimeEmbedding(nn.Module):
    """Sinusoids of the time through a small MLP, all in float32: in v2 one ulp of a frequency is already audible.

    The table is made on the CPU by pow, reciprocal and product in this order: others differ by up to 1e-3.
    """

    def __init__(self, width: int, *, v2: bool) -> None:
        super().__init__()
        self.size, self.period = (width, 1) if v2 else (256, 10000)
        self.mlp = nn.Sequential(Linear(self.size, width), nn.SiLU(), Linear(width, width))

    def frequencies(self) -> Tensor:
        exponents = torch.arange(0, self.size, 2, dtype=torch.float32) / self.size
        return (10000 / self.period) * (1.0 / (10000.0**exponents))

    def sinusoids(self, times: Tensor) -> Tensor:  # (T,) -> (T, size), on the CPU
        angles = times.to("cpu", torch.float32)[:, None] * self.frequencies()
        return torch.cat([angles.cos(), angles.sin()], dim=-1)

    def forward(self, times: Tensor) -> Tensor:  # (T,) -> (T, D) float32
        return self.mlp(on_device(self.sinusoids(times), self.get_parameter("mlp.0.weight").device))


class Flow(nn.Module):
    """All parameters of `mmaudio_<name>.pth`, under their official names until `fuse`."""

    latent_rows: Linear | None
    stream_rows: Linear | None

    def __init__(self, shape: FlowShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        activation = nn.SiLU if shape.v2 else nn.SELU
        between = [nn.SiLU()] if shape.v2 else []
        self.sync_pos_emb = nn.Parameter(torch.zeros(1, 1, 8, shape.sync))
        self.latent_mean = nn.Parameter(torch.zeros(1, 1, shape.latent))
        self.latent_std = nn.Parameter(torch.ones(1, 1, shape.latent))
        self.empty_string_feat = nn.Parameter(torch.zeros(TEXT_TOKENS, shape.text))
        self.empty_clip_feat = nn.Parameter(torch.zeros(1, shape.clip))
        self.empty_sync_feat = nn.Parameter(torch.zeros(1, shape.sync))
        self.audio_input_proj = nn.Sequential(TokenConv(shape.latent, width, 7), activation(), GatedMLP(width, 7))
        self.clip_input_proj = nn.Sequential(Linear(shape.clip, width), *between, GatedMLP(width, 3))
        self.sync_input_proj = nn.Sequential(TokenConv(shape.sync, width, 7), activation(), GatedMLP(width, 3))
        self.text_input_proj = nn.Sequential(Linear(shape.text, width), *between, GatedMLP(width))
        self.clip_cond_proj = Linear(width, width)
        self.text_cond_proj = Linear(width, width)
        self.global_cond_mlp = GatedMLP(width)
        self.t_embed = TimeEmbedding(width, v2=shape.v2)
        joint = shape.depth - shape.fused
        self.joint_blocks = nn.ModuleList(JointBlock(width, shape.heads, last=i == joint - 1) for i in range(joint))
        self.fused_blocks = nn.ModuleList(FusedBlock(width, shape.heads, 3) for _ in range(shape.fused))
        self.final_layer = FinalLayer(width, shape.latent)
        self.register_module("latent_rows", None)
        self.register_module("stream_rows", None)

    def fuse(self) -> None:
        """Stack the modulations of all blocks that follow the same condition: one product each, its rows block after block."""
        of_latent = [block.latent_block for block in self._joint()] + [*self._fused()]
        of_streams = [stream for block in self._joint() for stream in (block.clip_block, block.text_block)]
        for name, blocks in (("latent_rows", of_latent), ("stream_rows", of_streams)):
            stacked = Linear(1, 1)
            for part in ("weight", "bias"):
                whole = torch.cat([block.get_parameter(f"adaLN_modulation.1.{part}").detach() for block in blocks])
                setattr(stacked, part, nn.Parameter(whole, requires_grad=False))
            setattr(self, name, stacked)
        for block in (*of_latent, *of_streams):
            del block.adaLN_modulation

    def to_precision(self, dtype: torch.dtype) -> Flow:
        """Cast the blocks, where nearly all the work is.

        The rest of the work of a step, modulation and the way in, is float16 beside bfloat16 blocks: its products are as
        exact as those of float32 on tensor cores, which round to ten bits as well. What is computed once a request, the
        last layer and the streams stay float32: guidance multiplies an error of one pass by up to eight.
        """
        for block in self.modules():
            if isinstance(block, Block):
                block.to_precision(dtype)
        half = torch.float16 if dtype is torch.bfloat16 else dtype
        if dtype is torch.bfloat16:
            way_in = self.audio_input_proj[2]
            assert isinstance(way_in, GatedMLP)
            make_room(way_in)
        for part in (self.audio_input_proj, self.latent_rows, self.stream_rows):
            if part is not None:
                part.to(half)
        return self

    def _joint(self) -> list[JointBlock]:
        return [block for block in self.joint_blocks if isinstance(block, JointBlock)]

    def _fused(self) -> list[FusedBlock]:
        return [block for block in self.fused_blocks if isinstance(block, FusedBlock)]

    def empty_clip(self, length: int) -> Tensor:  # (1, Nc, clip)
        return self.empty_clip_feat[None].expand(1, length, -1)

    def empty_sync(self, length: int) -> Tensor:  # (1, Ns, sync)
        return self.empty_sync_feat[None].expand(1, length, -1)

    def empty_text(self) -> Tensor:  # (1, 77, text)
        return self.empty_string_feat[None]

    def project_clip(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """CLIP features (C, Nc, clip) -> tokens (C, Nc, D) and their pooled vector (C, D)."""
        tokens = self.clip_input_proj(features.float())
        return tokens, self.clip_cond_proj(tokens.mean(dim=1))

    def project_text(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Text features (C, 77, text) -> tokens (C, 77, D) and their pooled vector (C, D)."""
        tokens = self.text_input_proj(features.float())
        return tokens, self.text_cond_proj(tokens.mean(dim=1))

    def project_sync(self, features: Tensor) -> Tensor:
        """Sync features (C, Ns, sync) -> (C, Ns, D); each of a segment's eight moments has a position of its own."""
        placed = features.float().unflatten(1, (-1, 8)) + self.sync_pos_emb  # (C, Ns / 8, 8, sync)
        return self.sync_input_proj(placed.flatten(1, 2))

    def condition(self, clip: Tensor, sync: Tensor, text: Tensor) -> Conditions:
        """Features (C, Nc, clip), (C, Ns, sync), (C, 77, text) -> conditions; once a request."""
        clip_tokens, clip_pooled = self.project_clip(clip)
        text_tokens, text_pooled = self.project_text(text)
        return Conditions(clip_tokens, text_tokens, self.project_sync(sync), clip_pooled, text_pooled)

    def global_condition(self, times: Tensor, conditions: Conditions) -> Tensor:
        """The global condition of each time and request: (T,) -> (T, C, D) float32."""
        pooled = self.global_cond_mlp(conditions.clip_pooled + conditions.text_pooled)
        embedded: Tensor = self.t_embed(times)
        return embedded[:, None] + pooled

    def tables(self, latents: int, clip: int) -> Tables:
        """Rotary tables: the clip's positions are stretched over the latents' range."""
        device, head = self.empty_clip_feat.device, self.shape.width // self.shape.heads
        return Tables(rotations(latents, 1.0, head, device), rotations(clip, latents / clip, head, device))
