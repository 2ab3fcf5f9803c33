"""The engine: directions and a film in, tracks out, each as soon as it is ready.

It knows nothing of jobs, queues or files to write; one thread calls it, one job at a time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from worker.domain import Clip, Licence, Options, Part, Track, Variant, View
from worker.engines.device import choose_device, out_of_memory
from worker.engines.mmaudio import loading, tokens, weights
from worker.engines.mmaudio.activation import fastest
from worker.engines.mmaudio.asked import NEGATIVE_PROMPT, Asked
from worker.engines.mmaudio.choice import WHY_PLAIN
from worker.engines.mmaudio.copies import on_host
from worker.engines.mmaudio.features import VIEWS, Encoding, Features, Watcher, long_enough
from worker.engines.mmaudio.lengths import CLIP_FPS, clip_frames, sync_features
from worker.engines.mmaudio.lru_cache import LruCache
from worker.engines.mmaudio.pointwise import pointwise
from worker.engines.mmaudio.runtime import NoNumbers, Runtime
from worker.engines.mmaudio.sampling import Sampler
from worker.engines.mmaudio.synchformer import grouped_kernel
from worker.engines.mmaudio.track_loudness import track_lufs
from worker.engines.mmaudio.viewing import Viewing
from worker.engines.mmaudio.windows import lay
from worker.errors import Cancelled, DeviceLost, NoMemory, NoRoom, Unavailable

log = logging.getLogger(__name__)

USUAL_S = (8.0, 7.96, 30.0)
"""Eight seconds, what a film of 25 frames a second makes of them, and a long one: its windows have one shape whatever its length."""
FILMS_KEPT = 64
"""Films whose features are kept: under half a megabyte each for 8 s."""


class MMAudioEngine:
    """Composes with an MMAudio checkpoint."""

    def __init__(self, runtime: Runtime, *, sampler: Sampler | None = None, clip_fps: int = CLIP_FPS) -> None:
        """`sampler` and `clip_fps` (8, 4, 2 or 1) are the levers; left alone, results are the reference's."""
        self._runtime, self._sampler = runtime, sampler or Sampler()
        self._every = CLIP_FPS // clip_fps
        self._encoding = Encoding.on(runtime.device, runtime.graphs.forget)
        self._films: LruCache[tuple[str, float, bool], Features] = LruCache(FILMS_KEPT)

    @classmethod
    def load(
        cls,
        model: str,
        models_dir: Path,
        device: str = "auto",
        *,
        sampler: Sampler | None = None,
        clip_fps: int = CLIP_FPS,
    ) -> Self:
        """Load all weights, which takes about a minute, and warm up for the usual lengths.

        Call it in the thread that will compose: cuDNN keeps what it has tried out by thread.
        Raises Misconfigured: an unknown model, no weights, no GPU or too small a one, no tokenizer; in one line, with what to do.
        """
        row = weights.model_named(model)
        place = choose_device(device, row.name)
        started = time.perf_counter()
        parts = loading.official_parts(row, models_dir)
        tokens.tokenize([""])
        for file in weights.files_of(row):
            log.info("licence: %s: %s", file.name, file.licence)
        try:
            runtime = loading.runtime(row, parts, place)
            engine = cls(runtime, sampler=sampler, clip_fps=clip_fps)
            if place.type == "cuda":
                engine.warm()
        except (RuntimeError, Unavailable) as error:
            if isinstance(error, RuntimeError) and not out_of_memory(error):
                raise
            raise NoRoom(
                f"{row.name} does not fit into the memory of {place}: set MMAUDIO_MODEL to a smaller one, or use a larger GPU"
            ) from error
        if place.type == "cpu":
            log.warning("%s composes on the CPU: expect about half an hour a job", row.name)
        if not engine.exact:
            log.warning(
                "levers are set, results are not the reference's: %s, CLIP at %d fps", engine._sampler, clip_fps
            )
        log.info("%s is ready on %s after %.0f s", row.name, place, time.perf_counter() - started)
        return engine

    ignores = frozenset({"hits"})
    trained = True

    @property
    def name(self) -> str:
        return "mmaudio"

    @property
    def model(self) -> str:
        return self._runtime.model.name

    @property
    def licence(self) -> Licence:
        return self._runtime.model.licence

    @property
    def frames(self) -> tuple[View, ...]:
        return VIEWS

    @property
    def kernels(self) -> str:
        device = self._runtime.flow.empty_clip_feat.device
        if device.type != "cuda":
            return f"plain: the engine computes on the {device.type.upper()}"
        pointwise(device), fastest(device), grouped_kernel(device)
        return "plain: " + "; ".join(f"{what}: {why}" for what, why in WHY_PLAIN.items()) if WHY_PLAIN else "fused"

    @property
    def exact(self) -> bool:
        """Whether no lever is set: what it makes is what the reference would have made."""
        return self._sampler == Sampler() and self._every == 1

    def prepare(self, clip: Clip, options: Options, cancelled: Callable[[], bool]) -> Viewing | None:
        """Encode the film stretch by stretch, unless what was seen of it is still known; see `worker.ports.Engine`."""
        long_enough(clip.duration_s)
        if options.conditioning == "text" or self._seen(clip, options) is not None:
            return None
        runtime = self._runtime
        sync = runtime.synchformer if options.conditioning == "full" else None

        def go_on() -> None:
            if cancelled():
                raise Cancelled("the job was cancelled while its video was watched")

        watcher = Watcher(runtime.image, sync, every=self._every, encoding=self._encoding, before_each=go_on)

        def keep() -> None:
            self._films.put(_key(clip, with_sync=sync is not None), watcher.features(clip.duration_s))

        return Viewing(watcher, keep, self._ours)

    def compose(
        self, clip: Clip, variants: Sequence[Variant], options: Options, cancelled: Callable[[], bool]
    ) -> Iterator[Track]:
        """Yield the tracks in the order of `variants`; see `worker.ports.Engine`.

        Raises Rejected (shorter than 0.64 s), Cancelled, Unavailable (out of memory, a film forgotten meanwhile), DeviceLost.
        """
        with self._ours():
            asked = self._asked(clip, options, cancelled)
            latents = self._sample(asked, variants)
        failed: NoNumbers | None = None
        for variant, one in zip(variants, latents, strict=True):
            try:
                with self._ours():
                    track = self._track(asked, variant, one)
            except NoNumbers as error:  # its siblings are made all the same
                failed = error
                continue
            yield track
        if failed:
            raise failed

    def mend(self, clip: Clip, variant: Variant, part: Part, options: Options, cancelled: Callable[[], bool]) -> Track:
        """Make a part of a track anew, all other latents of it held; see `worker.ports.Engine`.

        Raises what `compose` raises, and Rejected (cannot_mend): latents that are of no such track.
        """
        with self._ours():
            asked = self._asked(clip, options, cancelled).mending(part, self._runtime.model)
            (latents,) = self._sample(asked, [variant])
            return replace(self._track(asked, variant, latents), mended=asked.kept and asked.kept.mended)

    def _track(self, asked: Asked, variant: Variant, latents: Tensor | None) -> Track:
        """Of its latents; of another seed's where no precision makes numbers of them. Raises NoNumbers."""
        if latents is not None:
            with suppress(NoNumbers):
                return self._render(variant.index, latents, asked.cancelled)
        seed = (variant.seed + 1) % 2**32
        log.warning(
            "seed %d makes no numbers in any precision: variant %d has seed %d", variant.seed, variant.index, seed
        )
        (again,) = self._sample(asked, [replace(variant, seed=seed)])
        if again is None:
            raise NoNumbers(self.model)
        return replace(self._render(variant.index, again, asked.cancelled), seed=seed)

    @torch.inference_mode()
    def rest(self, busy: Callable[[], bool]) -> None:
        """Capture the shapes that came for the first time, until `busy()`; see `worker.ports.Engine`."""
        with self._ours():
            self._runtime.graphs.capture(lambda: not busy())

    @torch.inference_mode()
    def warm(self, durations_s: Sequence[float] = USUAL_S, variants: int = 3) -> None:
        """Go the whole way with empty features once for each length, so that a first job finds its graphs and kernels ready."""
        with self._ours():
            runtime, first_s = self._runtime, durations_s[0]
            runtime.image(torch.zeros(clip_frames(first_s), 3, 384, 384, device=runtime.device))
            runtime.synchformer(torch.zeros(1, int(25 * first_s), 3, 224, 224, device=runtime.device))
            for duration_s in durations_s:
                self._warm(duration_s, variants)
                runtime.graphs.capture()

    def _warm(self, duration_s: float, variants: int) -> None:
        runtime, flow = self._runtime, self._runtime.flow
        clip, sync = flow.empty_clip(clip_frames(duration_s))[0], flow.empty_sync(sync_features(duration_s))[0]
        texts = runtime.read(["warm"] * variants)
        windows = lay(duration_s, runtime.model.rate)
        prepared = runtime.prepared(windows, Features(duration_s, clip, sync), texts, NEGATIVE_PROMPT, range(variants))
        latents = runtime.sample(prepared, replace(self._sampler, steps=2), lambda: False)
        self._render(0, latents[0], lambda: False)

    def _asked(self, clip: Clip, options: Options, cancelled: Callable[[], bool]) -> Asked:
        """Raises Rejected (too short), Unavailable (a film that was not shown, or is forgotten)."""
        long_enough(clip.duration_s)
        seen = None
        if options.conditioning != "text" and (seen := self._seen(clip, options)) is None:
            raise Unavailable("The engine has forgotten what it saw of the film; try again later")
        return Asked.of(clip, options, cancelled, seen, self._runtime.model.rate)

    @torch.inference_mode()
    def _sample(self, asked: Asked, variants: Sequence[Variant]) -> list[Tensor | None]:
        """Latents of each variant, (N, latent), or None where they are no numbers."""
        runtime, (windows, _, heard), kept = self._runtime, asked.told, asked.kept
        captions, seeds = asked.captions(variants, runtime.tokenize), [variant.seed for variant in variants]

        def sampled() -> Tensor:
            texts = runtime.read(captions)
            prepared = runtime.prepared(windows, asked.seen, texts, asked.negative_prompt, seeds, heard, kept)
            return runtime.sample(prepared, asked.sampler(self._sampler), asked.cancelled)

        try:
            made = list(runtime.with_room(sampled))
        except NoNumbers as error:
            return [one if one.isfinite().all() else None for one in error.made]
        return [kept.pasted(one) for one in made] if kept else list(made)

    @torch.inference_mode()
    def _render(self, index: int, latents: Tensor, cancelled: Callable[[], bool]) -> Track:
        def go_on() -> None:
            if cancelled():
                raise Cancelled("the job was cancelled while its tracks were rendered")

        rate = self._runtime.model.rate
        wave = self._runtime.with_room(lambda: self._runtime.render(latents, go_on))
        lufs = track_lufs(wave, rate.sample_rate)
        samples, kept = on_host(wave).numpy(), on_host(latents.half()).numpy()
        return Track(index=index, samples=samples, sample_rate=rate.sample_rate, loudness_lufs=lufs, latents=kept)

    @contextmanager
    def _ours(self) -> Iterator[None]:
        """Work on this engine's device, whichever is current (graphs and kernels go to the current one); its errors as the worker's."""
        device = self._runtime.device
        try:
            with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
                yield
        except RuntimeError as error:
            if out_of_memory(error):
                self._runtime.graphs.forget()
                raise NoMemory("the GPU is out of memory: use a smaller model or a larger GPU") from error
            if isinstance(error, torch.AcceleratorError):
                raise DeviceLost(f"the GPU stopped working: {error}") from error
            raise

    def _seen(self, clip: Clip, options: Options) -> Features | None:
        """The film's features, kept by its content, its length and what is asked of it."""
        full = self._films.get(_key(clip, with_sync=True))
        if options.conditioning == "full":
            return full
        return replace(full, sync=None) if full else self._films.get(_key(clip, with_sync=False))


def _key(clip: Clip, *, with_sync: bool) -> tuple[str, float, bool]:
    return clip.digest, clip.duration_s, with_sync
