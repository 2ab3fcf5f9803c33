"""The engine: directions and a film in, tracks out, each as soon as it is ready.

It knows nothing of jobs, queues or files to write; one thread calls it, one job at a time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch

from worker.domain import Clip, Options, Track, Variant
from worker.errors import Cancelled, DeviceLost, Rejected, Unavailable
from worker.pipeline.mmaudio import decoder, loading, tokens, weights
from worker.pipeline.mmaudio.decoding import Decoder, usual
from worker.pipeline.mmaudio.features import Features, Shelf, Watcher
from worker.pipeline.mmaudio.frames import Film
from worker.pipeline.mmaudio.lengths import CLIP_FPS, SHORTEST_S, clip_frames, sync_features
from worker.pipeline.mmaudio.loudness import integrated_lufs
from worker.pipeline.mmaudio.runtime import Runtime
from worker.pipeline.mmaudio.sampling import Sampler
from worker.pipeline.mmaudio.windows import lay

log = logging.getLogger(__name__)

NEGATIVE_PROMPT = "speech, voice, vocals, talking, crowd, footsteps, wind, noise"
FILMS_KEPT = 64
"""Films whose features are kept: under half a megabyte each for 8 s."""


class MMAudioEngine:
    """Composes with an MMAudio checkpoint."""

    def __init__(
        self, runtime: Runtime, *, sampler: Sampler | None = None, clip_fps: int = CLIP_FPS, decoder: Decoder = "pyav"
    ) -> None:
        """`sampler` and `clip_fps` (8, 4, 2 or 1) are the levers; left alone, results are the reference's."""
        self._runtime, self._sampler = runtime, sampler or Sampler()
        self._every, self._decoder = CLIP_FPS // clip_fps, decoder
        self._films: Shelf[tuple[str, float, bool], Features] = Shelf(FILMS_KEPT)

    @classmethod
    def load(cls, model: str, models_dir: Path, device: str = "auto", *, decoder: Decoder | None = None) -> Self:
        """Load all weights, which takes about a minute, and warm up for the usual length; `decoder` is the usual one of the device.

        Raises Misconfigured: an unknown model, no weights, no GPU, no tokenizer; in one line, with what to do.
        """
        row = weights.model_named(model)
        place = loading.choose_device(device, row)
        started = time.perf_counter()
        if row.generated:
            parts = loading.generated_parts(row)
        else:
            parts = loading.official_parts(row, models_dir)
            tokens.tokenize([""])
        engine = cls(loading.runtime(row, parts, place), decoder=decoder or usual(place.type))
        for line in weights.licences(row):
            log.info("licence: %s", line)
        if place.type == "cuda":
            engine.warm()
        elif not row.generated:
            log.warning("%s composes on the CPU: expect about %d minutes for 8 s", row.name, loading.cpu_minutes(row))
        log.info("%s is ready on %s after %.0f s", row.name, place, time.perf_counter() - started)
        return engine

    @property
    def name(self) -> str:
        return "mmaudio"

    @property
    def model(self) -> str:
        return self._runtime.model.name

    @torch.inference_mode()
    def prepare(self, clip: Clip, options: Options, cancelled: Callable[[], bool]) -> None:
        """Encode the film while the describer still thinks; `compose` finds the features on the shelf."""
        _long_enough(clip.duration_s)
        if options.conditioning != "text":
            with _as_ours():
                self._watched(clip, cancelled, with_sync=options.conditioning == "full")

    def compose(
        self, clip: Clip, variants: Sequence[Variant], options: Options, cancelled: Callable[[], bool]
    ) -> Iterator[Track]:
        """Yield the tracks in the order of `variants`; see `worker.ports.Engine`.

        Raises Rejected (shorter than 0.64 s, undecodable), Cancelled, Unavailable (out of memory), DeviceLost.
        """
        with _as_ours():
            latents = self._sample(clip, variants, options, cancelled)
        for variant, one in zip(variants, latents, strict=True):
            if cancelled():
                raise Cancelled("the job was cancelled while its tracks were rendered")
            with _as_ours():
                yield self._render(variant.index, one)

    @torch.inference_mode()
    def warm(self, duration_s: float = 8.0, variants: int = 3) -> None:
        """Go the whole way once with empty features, so that the first job finds its graph and kernels ready."""
        runtime, windows = self._runtime, lay(duration_s, self._runtime.model.rate)
        flow, frames = runtime.flow, clip_frames(duration_s)
        features = Features(duration_s, flow.empty_clip(frames)[0], flow.empty_sync(sync_features(duration_s))[0])
        runtime.image(torch.zeros(frames, 3, 384, 384, device=runtime.device))
        runtime.synchformer(torch.zeros(1, int(25 * duration_s), 3, 224, 224, device=runtime.device))
        score = runtime.score(windows, features, runtime.read(["warm"] * variants), NEGATIVE_PROMPT, range(variants))
        latents = runtime.sample(score, replace(self._sampler, steps=2), lambda: False)
        self._render(0, latents[0])

    @torch.inference_mode()
    def _sample(
        self, clip: Clip, variants: Sequence[Variant], options: Options, cancelled: Callable[[], bool]
    ) -> torch.Tensor:
        """Latents of all variants, (V, N, latent)."""
        _long_enough(clip.duration_s)
        runtime, seen = self._runtime, None
        if options.conditioning != "text":
            seen = self._watched(clip, cancelled, with_sync=options.conditioning == "full")
        windows = lay(clip.duration_s if seen is None else seen.duration_s, runtime.model.rate)
        negative = NEGATIVE_PROMPT if options.negative_prompt is None else options.negative_prompt
        texts = runtime.read([variant.direction.prompt for variant in variants])
        score = runtime.score(windows, seen, texts, negative, [variant.seed for variant in variants])
        sampler = replace(
            self._sampler,
            steps=self._sampler.steps if options.steps is None else options.steps,
            guidance=self._sampler.guidance if options.guidance is None else options.guidance,
        )
        return runtime.sample(score, sampler, cancelled)

    @torch.inference_mode()
    def _render(self, index: int, latents: torch.Tensor) -> Track:
        runtime = self._runtime
        mel = decoder.to_mel(runtime.vae, latents[None])
        rate = runtime.model.rate
        wave = decoder.to_wave(runtime.vocoder, mel, rate.hop)
        lufs = integrated_lufs(wave, rate.sample_rate)
        return Track(index=index, samples=wave.cpu().numpy(), sample_rate=rate.sample_rate, loudness_lufs=lufs)

    def _watched(self, clip: Clip, cancelled: Callable[[], bool], *, with_sync: bool) -> Features:
        """The film's features, encoded once for its content, its length and what is asked of it."""
        key = (clip.digest, clip.duration_s, with_sync)
        known = self._films.get(key)
        if known is not None:
            return known
        runtime = self._runtime
        film = Film(clip.path, clip.duration_s, runtime.device, self._decoder)
        watcher = Watcher(runtime.image, runtime.synchformer if with_sync else None, every=self._every)
        watcher.watch(film, cancelled)
        duration_s = film.cut.duration_s
        _long_enough(duration_s)
        return self._films.put(key, watcher.features(duration_s, clip_frames(duration_s), sync_features(duration_s)))


def _long_enough(duration_s: float) -> None:
    if duration_s < SHORTEST_S:
        raise Rejected(
            f"the video is {duration_s:.2f} s long; music needs at least {SHORTEST_S} s: send a longer one",
            code="too_short",
        )


@contextmanager
def _as_ours() -> Iterator[None]:
    """PyTorch's errors as the worker's."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise Unavailable("the GPU is out of memory: use a smaller model or a larger GPU") from error
    except torch.AcceleratorError as error:
        raise DeviceLost(f"the GPU stopped working: {error}") from error
