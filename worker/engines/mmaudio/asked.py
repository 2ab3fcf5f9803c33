"""What one job asks of the engine, for all of its variants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from worker.domain import LOOP_S, Clip, Options, Part, Variant
from worker.engines.mmaudio.features import Features
from worker.engines.mmaudio.lengths import AudioRate
from worker.engines.mmaudio.mending import Kept
from worker.engines.mmaudio.models import Model
from worker.engines.mmaudio.sampling import Sampler
from worker.engines.mmaudio.tokens import Tokenize
from worker.engines.mmaudio.windows import lay
from worker.engines.mmaudio.wording import Told, caption, told

NEGATIVE_PROMPT = "speech, voice, vocals, talking, crowd, footsteps, wind, noise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A film as it is seen (None: words alone), where which words are heard, and what is kept of a track that is mended."""

    clip: Clip
    options: Options
    cancelled: Callable[[], bool]
    seen: Features | None
    told: Told
    kept: Kept | None = None

    @classmethod
    def of(
        cls, clip: Clip, options: Options, cancelled: Callable[[], bool], seen: Features | None, rate: AudioRate
    ) -> Self:
        if options.loop:
            duration_s = clip.duration_s + LOOP_S
            seen = seen and seen.around(duration_s)
        else:
            duration_s = clip.duration_s if seen is None else seen.duration_s
        words = told(options, lay(duration_s, rate), rate.latents_per_s)
        return cls(clip=clip, options=options, cancelled=cancelled, seen=seen, told=words)

    def mending(self, part: Part, model: Model) -> Self:
        """Of one part of a track that is kept: only the windows that reach it are asked. Raises Rejected (cannot_mend)."""
        kept = Kept.of(part, self.clip, self.told.windows.latents, model)
        return replace(self, kept=kept, told=self.told.around(kept.first, kept.last))

    @property
    def negative_prompt(self) -> str:
        return NEGATIVE_PROMPT if self.options.negative_prompt is None else self.options.negative_prompt

    def captions(self, variants: Sequence[Variant], tokenize: Tokenize) -> list[str]:
        """Variant by variant, wording by wording."""
        return [
            caption(variant.direction.prompt, beside, tokenize) for variant in variants for beside in self.told.beside
        ]

    def sampler(self, usual: Sampler) -> Sampler:
        options = self.options
        return replace(
            usual,
            steps=usual.steps if options.steps is None else options.steps,
            guidance=usual.guidance if options.guidance is None else options.guidance,
        )
