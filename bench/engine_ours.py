"""Our way, stage by stage: what is measured, and a film to measure it with."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.engine import generated
from worker.engines.mmaudio import rendering
from worker.engines.mmaudio.copies import on_host
from worker.engines.mmaudio.features import Encoding, Features, Watcher
from worker.engines.mmaudio.frames import Chunk
from worker.engines.mmaudio.lengths import clip_frames, sync_features
from worker.engines.mmaudio.runtime import Runtime
from worker.engines.mmaudio.sampling import Sampler
from worker.engines.mmaudio.selection import Selection
from worker.engines.mmaudio.track_loudness import track_lufs
from worker.engines.mmaudio.windows import lay

CHUNK = 32


def film(seconds: float, size: tuple[int, int], *, pinned: bool) -> tuple[Tensor, Tensor]:
    """The chosen frames of a 30 fps film (F, 3, H, W) uint8, and how often each is shown (F, 2)."""
    selection = Selection(seconds)
    shown = [selection.take(i / 30) for i in range(int(seconds * 30) + 2)]
    repeats = torch.tensor([each for each in shown if any(each)])
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (len(repeats), *size, 3), dtype=torch.uint8, generator=generator)
    return (frames.pin_memory() if pinned else frames).permute(0, 3, 1, 2), repeats


class Ours:
    """The engine's parts, joined as `MMAudioEngine` joins them."""

    def __init__(self, runtime: Runtime, seconds: float, steps: int, captions: list[str]) -> None:
        self.runtime, self.seconds, self.captions = runtime, seconds, captions
        self.sampler, self.windows = Sampler(steps=steps), lay(seconds, runtime.model.rate)
        runtime.tokenize = generated.tokens

    def watch(
        self, frames: Tensor, repeats: Tensor, *, with_sync: bool = True, encoding: Encoding | None = None
    ) -> Features:
        runtime = self.runtime
        chunks = (
            Chunk.of(frames[i : i + CHUNK].to(runtime.device, non_blocking=True), repeats[i : i + CHUNK])
            for i in range(0, len(frames), CHUNK)
        )
        watcher = Watcher(runtime.image, runtime.synchformer if with_sync else None, encoding=encoding)
        watcher.watch(chunks, lambda: False)
        return watcher.features(self.seconds, clip_frames(self.seconds), sync_features(self.seconds))

    def sample(self, seen: Features) -> Tensor:
        runtime = self.runtime
        prepared = runtime.prepared(self.windows, seen, runtime.read(self.captions), "", range(len(self.captions)))
        return runtime.sample(prepared, self.sampler, lambda: False)

    def mels(self, latents: Tensor) -> list[Tensor]:
        return [rendering.to_mel(self.runtime.vae, one[None]) for one in latents]

    def render(self, latents: Tensor) -> list[Tensor]:
        runtime = self.runtime
        waves = [runtime.render(one) for one in latents]
        for wave in waves:
            track_lufs(wave, runtime.model.rate.sample_rate)
        return [on_host(wave) for wave in waves]

    def forget_texts(self) -> None:
        """Captions are new with every job."""
        self.runtime.texts = type(self.runtime.texts)(64)
