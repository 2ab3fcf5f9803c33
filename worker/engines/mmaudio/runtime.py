"""All parts of a model on one device, and what each is asked: captions, film, sampling, waveforms."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from worker.engines.device import out_of_memory
from worker.engines.mmaudio import rendering, tokens
from worker.engines.mmaudio.batching import Batching
from worker.engines.mmaudio.bigvgan import BigVGAN
from worker.engines.mmaudio.clip_towers import ImageTower, TextTower
from worker.engines.mmaudio.copies import on_device
from worker.engines.mmaudio.features import Features
from worker.engines.mmaudio.flow import Conditions, Flow
from worker.engines.mmaudio.graphs import Graphs
from worker.engines.mmaudio.layers import widen
from worker.engines.mmaudio.lru_cache import LruCache
from worker.engines.mmaudio.mending import Kept
from worker.engines.mmaudio.models import Model
from worker.engines.mmaudio.sampling import EulerSolver, Held, Prepared, Sampler, Velocity, noise
from worker.engines.mmaudio.synchformer import Synchformer
from worker.engines.mmaudio.vae import VAE
from worker.engines.mmaudio.windows import Windows
from worker.errors import Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
FILM_SHARE = 0.8
"""In a long film, how much of a window's pooled picture is the whole film's: it holds the style together."""


class NoNumbers(Unavailable):
    """What was made is infinite or none in any precision."""

    def __init__(self, model: str, made: Iterable[Tensor] = ()) -> None:
        super().__init__(f"{model} made no sound but infinities: check its weights and the GPU")
        self.made = made


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
    batching: Batching = field(init=False)
    texts: LruCache[str, Tensor] = field(default_factory=lambda: LruCache(64))

    def __post_init__(self) -> None:
        self.batching = Batching(make_room=self.graphs.forget)

    def read(self, captions: Sequence[str]) -> Tensor:
        """Text features (V, 77, text); each caption is encoded once."""
        new = [caption for caption in dict.fromkeys(captions) if self.texts.get(caption) is None]
        known = {caption: self.texts.get(caption) for caption in captions}
        if new:
            for caption, features in zip(new, self.text(on_device(self.tokenize(new), self.device)), strict=True):
                known[caption] = self.texts.put(caption, features)
        return torch.stack([features for caption in captions if (features := known[caption]) is not None])

    def prepared(
        self,
        windows: Windows,
        seen: Features | None,
        texts: Tensor,
        negative: str,
        seeds: Sequence[int],
        heard: Sequence[int] = (),
        kept: Kept | None = None,
    ) -> Prepared:
        """What to sample; streams that were not seen are the empty ones. Of the texts each seed has as many, and each window hears the
        one that `heard` says. What was kept is held."""
        flow, count = self.flow, len(windows)
        if seen is None:
            clip, clip_pooled = flow.project_clip(flow.empty_clip(windows.clip_length))
            clip, clip_pooled = clip.expand(count, -1, -1), clip_pooled.expand(count, -1)
        else:
            cut = [seen.clip[start : start + windows.clip_length] for start in windows.clip_starts]
            clip, clip_pooled = flow.project_clip(torch.stack(cut))
            if windows.length < windows.latents:
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
        of_text = of_variant * (len(texts) // len(seeds))
        if any(heard):
            of_text += on_device(torch.tensor(heard), self.device).repeat(len(seeds))
        asked = Conditions(
            clip[of_window], text[of_text], sync[of_window], clip_pooled[of_window], text_pooled[of_text]
        )
        unwanted = self.read([negative]) if negative else flow.empty_text()
        empty = flow.condition(flow.empty_clip(windows.clip_length), flow.empty_sync(windows.sync_length), unwanted)
        start = noise(seeds, windows.latents, self.model.flow.latent)
        held = kept and Held(
            (on_device(kept.latents, self.device) - flow.latent_mean[0]) / flow.latent_std[0], kept.held
        )
        return Prepared(seeds=seeds, noise=start, windows=windows, asked=asked, empty=empty, silent=silent, held=held)

    def sample(self, prepared: Prepared, sampler: Sampler, cancelled: Callable[[], bool]) -> Tensor:
        """Latents (V, N, latent) in the VAE's units. Raises NoNumbers."""

        def sampled() -> Tensor:
            x = EulerSolver(self.flow, prepared, sampler, self.velocity)(self.batching, cancelled)
            return x * self.flow.latent_std + self.flow.latent_mean

        return self._finite(self.flow, sampled)

    def render(self, latents: Tensor, before_each: Callable[[], None] = lambda: None) -> Tensor:
        """A waveform (1, samples) float32 of latents (N, latent). Raises NoNumbers."""
        mel = rendering.to_mel(self.vae, latents[None], before_each, self._replayed)

        def rendered() -> Tensor:
            return rendering.to_wave(self.vocoder, mel, self.model.rate.hop, before_each, self._replayed)

        return self._finite(self.vocoder, rendered)

    def _replayed(self, network: nn.Module, x: Tensor) -> Tensor:
        """A copy of what the network's graph answers, which the next replay would overwrite."""
        return self.graphs(type(network).__name__, network, (x,)).clone()

    def with_room(self, make: Callable[[], T]) -> T:
        """What `make` makes; where memory runs out once more without the graphs."""
        try:
            return make()
        except RuntimeError as error:
            if not out_of_memory(error) or not self.graphs.forget():
                raise
        torch.cuda.empty_cache()
        return make()

    def _finite(self, network: nn.Module, make: Callable[[], Tensor]) -> Tensor:
        """What `make` makes with the network. Where float16 is too small for it once more in bfloat16, and so from then on;
        where that does not help this once in float32."""
        made = make()
        if made.isfinite().all():
            return made
        name = type(network).__name__
        if widen(network, torch.float16, torch.bfloat16):
            log.warning("values of %s do not fit into float16: it works in bfloat16 now", name)
            self.graphs.forget()
            made = make()
            if made.isfinite().all():
                return made
        if widened := widen(network, torch.bfloat16, torch.float32):
            log.warning("values of %s do not fit into bfloat16: this track is made in float32", name)
            self.graphs.forget()  # they know where the weights were
            try:
                made = make()
            finally:
                for weight in widened:
                    weight.data = weight.data.bfloat16()
                self.graphs.forget()
            if made.isfinite().all():
                return made
        raise NoNumbers(self.model.name, made)
