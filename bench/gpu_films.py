"""Films without a decoder: random frames in memory, handed on as `Film` hands on decoded ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from worker.engines.mmaudio.frames import Chunk
from worker.engines.mmaudio.selection import Cut, Selection

FRAMES, CHUNK, FPS = 96, 32, 30


class RawFilms:
    """Called like `Film`, gives something that is used like one: 16:9 at 30 frames a second."""

    def __init__(self, height: int, *, pinned: bool) -> None:
        generator = torch.Generator().manual_seed(0)
        frames = torch.randint(0, 256, (FRAMES, height, height * 16 // 9, 3), dtype=torch.uint8, generator=generator)
        self._frames = (frames.pin_memory() if pinned else frames).permute(0, 3, 1, 2)

    def __call__(self, path: Path, duration_s: float, device: torch.device, *_: object, **__: object) -> RawFilm:
        return RawFilm(self._frames, duration_s, device)


class RawFilm:
    """One film; its frames repeat, which no encoder knows."""

    def __init__(self, frames: torch.Tensor, duration_s: float, device: torch.device) -> None:
        self._frames, self._duration_s, self._device = frames, duration_s, device
        self._selection = Selection(duration_s)

    @property
    def cut(self) -> Cut:
        return self._selection.cut()

    def __iter__(self) -> Iterator[Chunk]:
        shown = (self._selection.take(i / FPS) for i in range(int(self._duration_s * FPS) + 2))
        repeats = torch.tensor([each for each in shown if any(each)])
        for start in range(0, len(repeats), CHUNK):
            mine = repeats[start : start + CHUNK]
            at = start % FRAMES
            yield Chunk.of(self._frames[at : at + len(mine)].to(self._device, non_blocking=True), mine)
