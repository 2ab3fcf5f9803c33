"""diffusers' AceStepPipeline, whose variants keep to themselves: each has its own tempo and key, and none hears another's padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AceStepPipeline
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

TOKENS = 256
"""Of a caption with its instruction and its tempo, key and length; what comes after is not read."""


class OwnWords(AceStepPipeline):  # type: ignore[misc]
    """`bpm` and `keyscale` of a call are lists, one for each prompt. Without guidance: turbo checkpoints."""

    _masked: Tensor | None = None

    def keep_apart(self) -> None:
        """To be called once: not in __init__, by whose signature diffusers knows what the parts are."""
        self.condition_encoder.register_forward_hook(self._remember)
        for layer in self.transformer.layers:
            layer.register_forward_pre_hook(self._mask, with_kwargs=True)

    def encode_prompt(
        self, prompt: Sequence[str], lyrics: Sequence[str], device: torch.device, *, bpm: Sequence[int],
        keyscale: Sequence[str], **given: Any,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        """Hidden states of the captions (V, T, D), their mask (V, T), those of the lyrics (V, L, D), their mask (V, L)."""
        each = [
            super(OwnWords, self).encode_prompt([text], [lyric], device, bpm=tempo, keyscale=key, **given)
            for text, lyric, tempo, key in zip(prompt, lyrics, bpm, keyscale, strict=True)
        ]
        texts, masks, lyric_states, lyric_masks = (
            pad_sequence([one[0] for one in kind], batch_first=True) for kind in zip(*each, strict=True)
        )
        return texts, masks, lyric_states, lyric_masks

    def prepare_src_latents(self, *, src_audio: Tensor | None = None, **given: Any) -> tuple[Tensor, int]:
        """`src_audio` of a call is encoded already, (1, frames, channels): diffusers would draw what it encodes anew at each call."""
        if src_audio is None:
            return super().prepare_src_latents(**given)
        return src_audio.to(given["device"], given["dtype"]), src_audio.shape[1]

    def tokens(self, caption: str, bpm: int, keyscale: str, duration_s: float) -> int:
        """How many a caption takes, with all that stands around it."""
        text, _ = self._format_prompt(
            prompt=caption, audio_duration=duration_s, bpm=bpm, keyscale=keyscale, timesignature="4"
        )
        return len(self.tokenizer(text).input_ids)

    def _remember(self, _module: Any, _given: Any, encoded: tuple[Tensor, Tensor]) -> None:
        """Which of what is heard of the words is padding, (V, 1, 1, L); None where nothing is."""
        heard = encoded[1].bool()
        self._masked = None if heard.all() else heard[:, None, None, :]

    def _mask(self, _module: Any, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """diffusers asks for no mask here: a variant would hear how much longer its neighbours' captions are."""
        return given, named | {"encoder_attention_mask": self._masked}
