"""Our way, stage by stage: what is measured, and a film to measure it with."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from tests.engine import generated
from worker.domain import Frames, Strip
from worker.engines.mmaudio import rendering
from worker.engines.mmaudio.copies import on_host
from worker.engines.mmaudio.features import VIEWS, Encoding, Features, Watcher
from worker.engines.mmaudio.runtime import Runtime
from worker.engines.mmaudio.sampling import Sampler
from worker.engines.mmaudio.track_loudness import track_lufs
from worker.engines.mmaudio.windows import lay


def film(seconds: float) -> list[Frames]:
    """As much of a film as an engine wants to see: random pictures, each shown once, in stretches of two seconds."""
    rng = np.random.default_rng(0)
    counts = [
        [min(2 * view.fps, int(seconds * view.fps) + 1 - at * view.fps) for view in VIEWS]
        for at in range(0, int(seconds) + 1, 2)
    ]
    return [
        tuple(
            Strip(pictures=rng.integers(0, 256, (n, 3, view.side, view.side), np.uint8), repeats=np.ones(n, np.int64))
            for n, view in zip(each, VIEWS, strict=True)
        )
        for each in counts
    ]


class Ours:
    """The engine's parts, joined as `MMAudioEngine` joins them."""

    def __init__(self, runtime: Runtime, seconds: float, steps: int, captions: list[str]) -> None:
        self.runtime, self.seconds, self.captions = runtime, seconds, captions
        self.sampler, self.windows = Sampler(steps=steps), lay(seconds, runtime.model.rate)
        runtime.tokenize = generated.tokens

    def watch(self, frames: list[Frames], *, with_sync: bool = True, encoding: Encoding | None = None) -> Features:
        runtime = self.runtime
        watcher = Watcher(runtime.image, runtime.synchformer if with_sync else None, encoding=encoding)
        for stretch in frames:
            watcher.see(stretch)
        return watcher.features(self.seconds)

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
