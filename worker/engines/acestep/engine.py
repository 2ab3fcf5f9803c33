"""The engine: directions and a film's sections in, tracks out. It knows nothing of jobs or files; one thread calls it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from diffusers.utils.logging import disable_progress_bar
from torch import Tensor
from transformers.utils import logging as logging_of_transformers

from worker.domain import LOOP_S, Clip, Options, Part, Track, Variant
from worker.engines.acestep import tiny
from worker.engines.acestep.checkpoints import Checkpoint, checked, missing, model_named
from worker.engines.acestep.form import LONGEST_S, SHORTEST_S, form
from worker.engines.acestep.painting import Painting
from worker.engines.acestep.pipe import TOKENS, OwnWords
from worker.engines.acestep.wording import Wording, worded
from worker.engines.device import choose_device, out_of_memory
from worker.errors import Cancelled, DeviceLost, Misconfigured, NoMemory, NoRoom, Rejected

log = logging.getLogger(__name__)

STEPS, SHIFT = 8, 3.0
"""What turbo checkpoints were distilled for."""
NO_ROOM = "the device is out of memory for a single track: use a smaller model or a larger GPU"


class AceStepEngine:
    """Implements `worker.ports.Engine`. Tracks are stereo at 48 kHz, as long as the clip, and longer by `LOOP_S` where they are to loop. Tempo and key are only hints to the
    network: tracks have none, and whoever masters them hears them.
    """

    name = "acestep"
    trained = True
    ignores = frozenset({"conditioning", "negative_prompt", "guidance", "hits"})
    frames = None

    def __init__(self, row: Checkpoint, pipe: OwnWords, device: torch.device) -> None:
        self.model, self.licence = row.name, row.licence
        self._pipe, self._device = pipe, device

    @classmethod
    def load(cls, model: str, models_dir: Path, device: str = "auto") -> Self:
        """Check and load all weights. Raises Misconfigured: an unknown model, missing or changed weights, no GPU or too small a one."""
        row = model_named(model)
        disable_progress_bar()  # a worker's log is lines
        logging_of_transformers.disable_progress_bar()
        if not row.repository:
            device = "cpu" if device == "auto" and not torch.cuda.is_available() else device
            if missing(row, models_dir):
                tiny.write(models_dir)
        place = choose_device(device, f"acestep-{row.name}")
        folder = checked(row, models_dir)
        log.info("licence: acestep-%s by %s: %s", row.name, row.maker, row.licence.name)
        try:
            pipe = OwnWords.from_pretrained(
                folder, local_files_only=True, use_safetensors=True,
                dtype=torch.bfloat16 if place.type == "cuda" else torch.float32,
                audio_tokenizer=None, audio_token_detokenizer=None,  # of covers, which nobody asks for
            ).to(place)  # fmt: skip
        except (RuntimeError, OSError, ValueError) as error:
            if out_of_memory(error):
                raise NoRoom(
                    f"acestep-{row.name} does not fit into the memory of {place}: set ACESTEP_MODEL to a smaller one, or use a larger GPU"
                ) from error
            raise Misconfigured(
                f"{folder} cannot be loaded ({str(error).splitlines()[0]}): delete it and run `rhythmai models pull acestep-{row.name}`"
            ) from error
        pipe.keep_apart()
        pipe.set_progress_bar_config(disable=True)
        if place.type == "cpu" and row.repository:
            log.warning("acestep-%s composes on the CPU: expect long waits", row.name)
        return cls(row, pipe, place)

    @property
    def kernels(self) -> str:
        return f"plain: PyTorch's attention on the {self._device.type.upper()}"

    def prepare(self, clip: Clip, options: Options, cancelled: Callable[[], bool]) -> None:
        """Nothing is watched: the scenes in the clip give the form. Raises Rejected for films over ten minutes."""
        if _length_s(clip, options) > LONGEST_S:
            raise Rejected(
                f"The video is {clip.duration_s:.1f} s long; ACE-Step composes at most {LONGEST_S:.0f} s, "
                f"and {LONGEST_S - LOOP_S:.0f} s of a loop.",
                code="too_long",
            )

    def rest(self, busy: Callable[[], bool]) -> None:
        """Nothing."""

    @torch.inference_mode()
    def compose(
        self, clip: Clip, variants: Sequence[Variant], options: Options, cancelled: Callable[[], bool]
    ) -> Iterator[Track]:
        """Yield the tracks in the order of `variants`; see `worker.ports.Engine`. What does not fit into memory is halved.

        Raises Rejected, Cancelled within a step, Unavailable (out of memory for one alone), DeviceLost.
        """
        self.prepare(clip, options, cancelled)
        waiting, at_once = list(variants), len(variants)
        while waiting:
            batch = waiting[:at_once]
            with self._ours():
                latents = self._with_room(lambda batch=batch: self._sampled(clip, batch, options, cancelled))  # type: ignore[misc]
            if latents is None:
                if len(batch) == 1:
                    raise NoMemory(NO_ROOM)
                at_once = math.ceil(len(batch) / 2)
                continue
            waiting = waiting[at_once:]
            for variant, one in zip(batch, latents, strict=True):
                with self._ours():
                    if cancelled():
                        raise Cancelled("the job was cancelled while its tracks were rendered")
                    samples = self._rendered(one, _length_s(clip, options))
                yield Track(index=variant.index, samples=samples, sample_rate=self._pipe.sample_rate)

    @torch.inference_mode()
    def mend(self, clip: Clip, variant: Variant, part: Part, options: Options, cancelled: Callable[[], bool]) -> Track:
        """Paint a part of a track anew: the network hears the rest of it; see `worker.ports.Engine`.

        Raises what `compose` raises, and Rejected (cannot_mend): samples that are of no such track.
        """
        self.prepare(clip, options, cancelled)
        rate, per_s = self._pipe.sample_rate, self._pipe.latents_per_second
        frames = math.ceil(max(SHORTEST_S, _length_s(clip, options)) * per_s)
        painting = Painting.of(part, clip, frames=frames, rate=rate, frame=round(rate / per_s), loop=options.loop)
        with self._ours():
            latents = self._with_room(lambda: self._painted(clip, variant, painting, options, cancelled))
            if latents is None:
                raise NoMemory(NO_ROOM)
            samples = self._rendered(latents[0], clip.duration_s)
        return Track(index=variant.index, samples=samples, sample_rate=rate, mended=painting.mended, loops=options.loop)

    def _painted(
        self, clip: Clip, variant: Variant, painting: Painting, options: Options, cancelled: Callable[[], bool]
    ) -> Tensor:
        """Latents, (1, frames, channels): those of the samples, but between the two frames."""
        vae, scheduler, per_s = self._pipe.vae, self._pipe.scheduler, self._pipe.latents_per_second
        samples = torch.from_numpy(painting.samples)[None].to(self._device, vae.dtype)

        def encoded() -> Tensor:
            likeliest: Tensor = vae.encode(samples).latent_dist.mode()
            return likeliest.transpose(1, 2)

        kept = self._in_tiles(encoded)
        noise = torch.randn(kept.shape, generator=torch.Generator().manual_seed(variant.seed)).to(kept)
        held = torch.ones(1, kept.shape[1], 1, dtype=torch.bool, device=kept.device)
        held[:, painting.first : painting.last] = False

        def hold(step: int, latents: Tensor) -> Tensor:
            left = scheduler.sigmas[step + 1]  # of the noise; none at the end
            return torch.where(held, left * noise + (1 - left) * kept, latents).to(latents.dtype)

        return self._sampled(
            clip, [variant], options, cancelled, hold, task_type="repaint", src_audio=kept, latents=noise,
            # In the middle of a frame, since diffusers rounds down.
            repainting_start=(painting.first + 0.5) / per_s, repainting_end=(painting.last + 0.5) / per_s,
        )  # fmt: skip

    def _sampled(
        self,
        clip: Clip,
        variants: Sequence[Variant],
        options: Options,
        cancelled: Callable[[], bool],
        hold: Callable[[int, Tensor], Tensor] = lambda _step, latents: latents,
        **given: Any,
    ) -> Tensor:
        """Latents, (V, frames, channels); `hold` changes them after each step."""
        duration_s = max(SHORTEST_S, _length_s(clip, options))

        def go_on(_pipe: Any, step: int, _time: float, at: dict[str, Any]) -> dict[str, Any]:
            if cancelled():
                raise Cancelled("the job was cancelled while it was being composed")
            return {"latents": hold(step, at["latents"])}

        def fits(wording: Wording) -> bool:
            return self._pipe.tokens(*wording, duration_s) <= TOKENS

        words = [worded(variant.direction, fits, loop=options.loop) for variant in variants]
        latents: Tensor = self._pipe(
            prompt=[one.caption for one in words],
            lyrics=[form(clip, options)] * len(variants),
            audio_duration=duration_s,
            bpm=[one.bpm for one in words],
            keyscale=[one.keyscale for one in words],
            timesignature="4",
            max_text_length=TOKENS,
            num_inference_steps=STEPS if options.steps is None else options.steps,
            shift=SHIFT,
            guidance_scale=1.0,
            generator=[torch.Generator().manual_seed(variant.seed) for variant in variants],  # equal on every device
            callback_on_step_end=go_on,
            output_type="latent",
            **given,
        ).audios
        return latents

    def _rendered(self, latents: Tensor, duration_s: float) -> Any:
        """Samples (2, n) float32 of latents (frames, channels), cut to the film; made tile by tile where the whole does not fit."""
        wave = self._in_tiles(lambda: self._pipe.vae.decode(latents.T[None]).sample)
        return wave[0, :, : round(duration_s * self._pipe.sample_rate)].float().cpu().numpy()

    def _in_tiles(self, work: Callable[[], Tensor]) -> Tensor:
        """What the VAE answers; tile by tile where the whole does not fit. Raises NoMemory."""
        vae = self._pipe.vae
        answer = self._with_room(work)
        if answer is None:
            vae.enable_tiling()
            answer = self._with_room(work)
            vae.disable_tiling()
        if answer is None:
            raise NoMemory(NO_ROOM)
        return answer

    @staticmethod
    def _with_room(work: Callable[[], Tensor]) -> Tensor | None:
        """What `work` answers, or None where memory runs out: what it held is free when this returns."""
        try:
            return work()
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        torch.cuda.empty_cache()
        return None

    @contextmanager
    def _ours(self) -> Iterator[None]:
        """A lost device as the worker's error."""
        try:
            yield
        except torch.AcceleratorError as error:
            raise DeviceLost(f"the GPU stopped working: {error}") from error


def _length_s(clip: Clip, options: Options) -> float:
    """Of what is composed for a film."""
    return clip.duration_s + (LOOP_S if options.loop else 0.0)
