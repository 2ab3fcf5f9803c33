"""The reference way, built from our own modules as their formulas read: what the engine is measured against.

Each variant on its own: frames encoded again, conditional and unconditional pass one after the other at
every step, layers unfused, everything eager.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from tests.engine import formula
from worker.domain import Frames
from worker.engines.mmaudio.activation import PLAIN, SnakeActivation
from worker.engines.mmaudio.bigvgan import Convolution
from worker.engines.mmaudio.features import clip_pixels, sync_pixels
from worker.engines.mmaudio.flow import Conditions
from worker.engines.mmaudio.lengths import clip_frames
from worker.engines.mmaudio.runtime import Parts
from worker.engines.mmaudio.sampling import noise


def _with_bias(convolution: Convolution, x: Tensor) -> tuple[Tensor, None]:
    return convolution(x), None


class Reference:
    """Parts that were never fused, on one device."""

    def __init__(self, parts: Parts, device: torch.device, dtype: torch.dtype) -> None:
        self._parts, self._device = parts, device
        parts.flow.to_precision(dtype)
        parts.image.transformer.to_precision(dtype)
        parts.synchformer.to_precision(dtype)
        parts.vocoder.to(dtype)
        for part in parts.all():
            part.to(device)
        for module in parts.vocoder.modules():
            if isinstance(module, SnakeActivation):
                module.way = PLAIN
            if isinstance(module, Convolution):
                module.without_bias = partial(_with_bias, module)

    @torch.inference_mode()
    def compose(
        self,
        film: list[Frames],
        tokens: Tensor,
        negative: Tensor,
        seed: int,
        seconds: float,
        latents: int,
        steps: int,
    ) -> Tensor:
        """One variant: frames at the encoders' sizes and token ids (1, 77) to a waveform (1, samples) on the host."""
        clip, sync = self.watch(film, seconds)
        return self.render(self.sample(clip, sync, tokens, negative, seed, latents, steps))

    @torch.inference_mode()
    def watch(self, film: list[Frames], seconds: float) -> tuple[Tensor, Tensor]:
        """CLIP vectors (1, Nc, clip) and sync features (1, Ns, sync)."""
        parts = self._parts
        frames, sync = (
            torch.cat([torch.from_numpy(stretch[i].pictures) for stretch in film]).to(self._device) for i in range(2)
        )
        some = frames[: clip_frames(seconds)].split(40)
        clip = torch.cat([parts.image(clip_pixels(each)) for each in some])[None]
        return clip, parts.synchformer(sync_pixels(sync)[None, : int(25 * seconds)])

    @torch.inference_mode()
    def sample(
        self, clip: Tensor, sync: Tensor, tokens: Tensor, negative: Tensor, seed: int, latents: int, steps: int
    ) -> Tensor:
        """Latents (1, N, latent) in the VAE's units."""
        flow = self._parts.flow
        asked, unasked = (self._condition(clip, sync, ids) for ids in (tokens, negative))
        x = noise([seed], latents, flow.shape.latent).to(self._device)
        times, tables = torch.linspace(0, 1, steps + 1), flow.tables(latents, clip.shape[1])
        for i in range(steps):
            with_all = formula.velocity(flow, x, float(times[i]), asked, tables)
            without = formula.velocity(flow, x, float(times[i]), unasked, tables)
            x = x + (times[i + 1] - times[i]) * (4.5 * with_all + (1 - 4.5) * without)
        return x * flow.latent_std + flow.latent_mean

    @torch.inference_mode()
    def render(self, latents: Tensor) -> Tensor:
        """A waveform (1, samples) on the host."""
        return self._parts.vocoder(self._parts.vae(latents))[0].cpu()

    def _condition(self, clip: Tensor, sync: Tensor, ids: Tensor) -> Conditions:
        flow, text = self._parts.flow, self._parts.text(ids.to(self._device))
        if ids.flatten()[1] == 49407:  # the empty caption: nothing is heard
            clip, sync = flow.empty_clip(clip.shape[1]), flow.empty_sync(sync.shape[1])
            text = flow.empty_text()
        return flow.condition(clip, sync, text)
