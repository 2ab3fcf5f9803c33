"""One film that is shown to the engine, stretch by stretch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from worker.domain import Frames
from worker.engines.mmaudio.features import Watcher


@dataclass(frozen=True, slots=True)
class Viewing:
    """Implements `worker.ports.Viewer`."""

    watcher: Watcher
    keep: Callable[[], None]
    ours: Callable[[], AbstractContextManager[None]]

    @torch.inference_mode()
    def see(self, frames: Frames) -> None:
        with self.ours():
            self.watcher.see(frames)

    @torch.inference_mode()
    def end(self) -> None:
        with self.ours():
            self.keep()
