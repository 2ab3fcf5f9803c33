"""All parts of a model on one device, and what each is asked: captions, film, sampling, waveforms."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from worker.engines.mmaudio import rendering, tokens
from worker.engines.mmaudio.bigvgan import BigVGAN
from worker.engines.mmaudio.clip_towers import ImageTower, TextTower
from worker.engines.mmaudio.copies import on_device
from worker.engines.mmaudio.features import Features
from worker.engines.mmaudio.flow import Conditions, Flow
from worker.engines.mmaudio.graphs import Graphs
from worker.engines.mmaudio.layers import widen
from worker.engines.mmaudio.lru_cache import LruCache
from worker.engines.mmaudio.models import Model
from worker.engines.mmaudio.sampling import Batching, EulerSolver, Prepared, Sampler, Velocity, noise
from worker.engines.mmaudio.synchformer import Synchformer
from worker.engines.mmaudio.vae import VAE
from worker.engines.mmaudio.windows import Windows
from worker.errors import Unavailable

log = logging.getLogger(__name__)

FILM_SHARE = 0.8
"""In a long film, how much of a window's pooled picture is the whole film's: it holds the style together."""


@dataclass(slots=True)
class Parts:
    """The networks of a model; as they come from their files they are float32 on the CPU."""

    flow: Flow
    vae: VAE
    vocoder: BigVGAN
    image: ImageTower
    text: TextTower
    synchformer: Synchformer

    def all(self) -> tuple[nn.Module, ...]:
        return self.flow, self.vae, self.vocoder, self.image, self.text, self.synchformer


@dataclass(slots=True)
class Runtime(Parts):
    """The networks fused and in their precision, on one device; `loading.runtime` builds it."""

    model: Model
    device: torch.device
    tokenize: tokens.Tokenize
    graphs: Graphs
    velocity: Velocity
    """The graphs' on a GPU."""
    batching: Batching = field(default_factory=Batching)
    texts: LruCache[str, Tensor] = field(default_factory=lambda: LruCache(64))

    def read(self, captions: Sequence[str]) -> Tensor:
        """Text features (V, 77, text); each caption is encoded once."""
        new = [caption for caption in dict.fromkeys(captions) if self.texts.get(caption) is None]
        known = {caption: self.texts.get(caption) for caption in captions}
        if new:
            for caption, features in zip(new, self.text(on_device(self.tokenize(new), self.device)), strict=True):
                known[caption] = self.texts.put(caption, features)
        return torch.stack([features for caption in captions if (features := known[caption]) is not None])

    def prepared(
        self, windows: Windows, seen: Features | None, texts: Tensor, negative: str, seeds: Sequence[int]
    ) -> Prepared:
        """What to sample; streams that were not seen are the empty ones."""
        flow, count = self.flow, len(windows)
        if seen is None:
            clip, clip_pooled = flow.project_clip(flow.empty_clip(windows.clip_length))
            clip, clip_pooled = clip.expand(count, -1, -1), clip_pooled.expand(count, -1)
        else:
            cut = [seen.clip[start : start + windows.clip_length] for start in windows.clip_starts]
            clip, clip_pooled = flow.project_clip(torch.stack(cut))
            if count > 1:
                _, film = flow.project_clip(seen.clip[None])
                clip_pooled = FILM_SHARE * film + (1 - FILM_SHARE) * clip_pooled
        silent = seen is None or seen.sync is None
        if seen is None or seen.sync is None:
            sync = flow.project_sync(flow.empty_sync(windows.sync_length)).expand(count, -1, -1)
        else:
            slices = [seen.sync[start : start + windows.sync_length] for start in windows.sync_starts]
            sync = flow.project_sync(torch.stack(slices))
        text, text_pooled = flow.project_text(texts)
        of_window = torch.arange(count, device=self.device).repeat(len(seeds))
        of_variant = torch.arange(len(seeds), device=self.device).repeat_interleave(count)
        asked = Conditions(
            clip[of_window], text[of_variant], sync[of_window], clip_pooled[of_window], text_pooled[of_variant]
        )
        unwanted = self.read([negative]) if negative else flow.empty_text()
        empty = flow.condition(flow.empty_clip(windows.clip_length), flow.empty_sync(windows.sync_length), unwanted)
        start = noise(seeds, windows.latents, self.model.flow.latent)
        return Prepared(seeds=seeds, noise=start, windows=windows, asked=asked, empty=empty, silent=silent)

    def sample(self, prepared: Prepared, sampler: Sampler, cancelled: Callable[[], bool]) -> Tensor:
        """Latents (V, N, latent) in the VAE's units. Raises Unavailable when they are no numbers."""

        def sampled() -> Tensor:
            x = EulerSolver(self.flow, prepared, sampler, self.velocity)(self.batching, cancelled)
            return x * self.flow.latent_std + self.flow.latent_mean

        return self._finite(self.flow, sampled)

    def render(self, latents: Tensor, before_each: Callable[[], None] = lambda: None) -> Tensor:
        """A waveform (1, samples) float32 of latents (N, latent). Raises Unavailable when it is none."""
        mel = rendering.to_mel(self.vae, latents[None], before_each, self._replayed)

        def rendered() -> Tensor:
            return rendering.to_wave(self.vocoder, mel, self.model.rate.hop, before_each, self._replayed)

        return self._finite(self.vocoder, rendered)

    def _replayed(self, network: nn.Module, x: Tensor) -> Tensor:
        """A copy of what the network's graph answers, which the next replay would overwrite."""
        return self.graphs(type(network).__name__, network, (x,)).clone()

    def _finite(self, network: nn.Module, make: Callable[[], Tensor]) -> Tensor:
        """What `make` makes with the network; once more, and from then on, in bfloat16 where float16 was too small for it."""
        made = make()
        if made.isfinite().all():
            return made
        if widen(network):
            log.warning("values of %s do not fit into float16: it works in bfloat16 now", type(network).__name__)
            self.graphs.forget()
            made = make()
            if made.isfinite().all():
                return made
        raise Unavailable(f"{self.model.name} made no sound but infinities: check its weights and the GPU")
