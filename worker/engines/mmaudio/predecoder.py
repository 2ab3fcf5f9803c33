"""FramePredecoder: a film's frames are decoded and resized in threads of their own, which are nice to the engine's."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress

import torch

from worker.domain import Clip, Options
from worker.engines.mmaudio.frame_file import write_frames
from worker.engines.mmaudio.frames import Film
from worker.engines.mmaudio.lru_cache import LruCache
from worker.pipeline.look.child import NICE

FILMS_KNOWN = 64
"""As many as the engine keeps the features of, by the same key: a film that comes again is not decoded again."""
AT_ONCE = 16
"""As many as a worker may have jobs: how many share the processor is for the system to say."""


class FramePredecoder:
    """Implements `ports.Predecoder` for the MMAudio engine. A film it did not decode is decoded by the engine, in its turn."""

    def __init__(self, device: torch.device) -> None:
        """`device` resizes: the engine's own, on a stream beside it."""
        self._device = device
        self._threads = ThreadPoolExecutor(AT_ONCE, "predecoder", initializer=_be_nice)
        self._known: LruCache[tuple[str, float, bool], bool] = LruCache(FILMS_KNOWN)

    async def predecode(self, clip: Clip, options: Options) -> None:
        full = options.conditioning == "full"
        film = (clip.digest, clip.duration_s)
        if options.conditioning == "text" or self._known.get((*film, True)) or self._known.get((*film, full)):
            return
        left = threading.Event()
        decoding = asyncio.get_running_loop().run_in_executor(self._threads, self._predecode, clip, left.is_set)
        try:
            await asyncio.shield(decoding)
        except asyncio.CancelledError:
            left.set()
            await asyncio.gather(decoding, return_exceptions=True)  # it writes into the job's folder
            raise
        self._known.put((*film, full), True)

    def _predecode(self, clip: Clip, cancelled: Callable[[], bool]) -> None:
        with torch.cuda.stream(torch.cuda.Stream(self._device)) if self._device.type == "cuda" else nullcontext():
            write_frames(clip.path, iter(self.film(clip)), cancelled)

    def film(self, clip: Clip) -> Film:
        return Film(clip.path, clip.duration_s, self._device)


def _be_nice() -> None:
    if hasattr(os, "setpriority"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)  # Linux: of this thread, and its children
