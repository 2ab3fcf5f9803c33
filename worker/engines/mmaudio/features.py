"""What the encoders see in a film, once a film: kept by the file's content, so that another seed or text costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.domain import Frames, View
from worker.engines.device import out_of_memory
from worker.engines.mmaudio.batching import Batching
from worker.engines.mmaudio.clip_towers import ImageTower
from worker.engines.mmaudio.copies import on_device
from worker.engines.mmaudio.lengths import (
    CLIP_FPS,
    SEGMENT_FRAMES,
    SEGMENT_STRIDE,
    SHORTEST_S,
    SYNC_FPS,
    clip_frames,
    covered_s,
    sync_features,
)
from worker.engines.mmaudio.synchformer import Synchformer
from worker.errors import Rejected

VIEWS = (View(fps=CLIP_FPS, side=384, cropped=False), View(fps=SYNC_FPS, side=224, cropped=True))
"""What CLIP and Synchformer see."""


@dataclass(frozen=True, slots=True)
class Features:
    """Of one film: CLIP vectors (Nc, clip), and sync features (Ns, sync) unless they were not asked for."""

    duration_s: float
    clip: Tensor
    sync: Tensor | None

    def around(self, duration_s: float) -> Features:
        """As long as that: behind its end the film begins again."""

        def again(features: Tensor, count: int) -> Tensor:
            return features[torch.arange(count, device=features.device) % len(features)]

        sync = None if self.sync is None else again(self.sync, sync_features(duration_s))
        return Features(duration_s, again(self.clip, clip_frames(duration_s)), sync)


def long_enough(duration_s: float) -> None:
    """Raises Rejected (too_short)."""
    if duration_s < SHORTEST_S:
        raise Rejected(
            f"the video is {duration_s:.2f} s long; music needs at least {SHORTEST_S} s: send a longer one",
            code="too_short",
        )


def clip_pixels(frames: Tensor) -> Tensor:
    """uint8 -> float32 in 0..1."""
    return frames.float() * (1 / 255)


def sync_pixels(frames: Tensor) -> Tensor:
    """uint8 -> float32 in -1..1."""
    return (clip_pixels(frames) - 0.5) / 0.5


def in_batches(
    encode: Callable[[Tensor], Tensor],
    items: Tensor,
    batching: Batching,
    before_each: Callable[[], None] = lambda: None,
) -> Tensor:
    """Encode in batches, smaller ones while memory runs out; `before_each` may raise, to stop there. Raises Unavailable when one
    item does not fit."""
    done: list[Tensor] = []
    at, ran_out = 0, False
    while at < len(items):
        some = items[at : at + batching.size]
        before_each()
        try:
            done.append(encode(some))
            at += len(some)
            continue
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        batching.shrink(len(some), first=not ran_out)
        ran_out = True
    return torch.cat(done)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How many frames and how many segments the encoders take at once; shared by all films, so that what fits is remembered."""

    frames: Batching
    segments: Batching

    @classmethod
    def on(cls, device: torch.device, make_room: Callable[[], bool] = lambda: False) -> Encoding:
        # Two seconds of film on a GPU: a larger batch is 3 % faster, but what is encoded while decoding goes on costs nothing.
        frames, segments = (16, 8) if device.type == "cuda" else (8, 4)
        return cls(Batching(frames, make_room), Batching(segments, make_room))


class Watcher:
    """Feeds both encoders while frames arrive, in full batches; holds a few seconds of small frames at most.

    `every`: CLIP sees every n-th of its frames and the others get the same vector; 1 is exact.
    """

    def __init__(
        self,
        image: ImageTower,
        sync: Synchformer | None,
        *,
        every: int = 1,
        encoding: Encoding | None = None,
        before_each: Callable[[], None] = lambda: None,
    ) -> None:
        self._image, self._sync, self._every = image, sync, every
        self._encoding, self._before_each = encoding or Encoding.on(image.proj.device), before_each
        self._waiting: list[Tensor] = []
        self._clip: list[Tensor] = []
        self._repeats: list[Tensor] = []
        self._clip_seen = 0
        self._tail: Tensor | None = None
        self._moments: list[Tensor] = []
        self._slots = [0 for _ in VIEWS]

    def see(self, frames: Frames) -> None:
        """The next stretch: a strip for CLIP and one for Synchformer."""
        self._before_each()
        device = self._image.proj.device
        clip, sync = (on_device(torch.from_numpy(strip.pictures), device) for strip in frames)
        clip_repeats, sync_repeats = (torch.from_numpy(strip.repeats) for strip in frames)
        self._slots = [before + int(strip.repeats.sum()) for before, strip in zip(self._slots, frames, strict=True)]
        self._add(clip, clip_repeats)
        if self._sync is not None:
            for shown in torch.arange(len(sync)).repeat_interleave(sync_repeats).split(SYNC_FPS):
                self._follow(sync[on_device(shown, device)], self._sync, enough=self._encoding.segments.size)

    def features(self, duration_s: float) -> Features:
        """Of all that was seen, as far as frames cover the duration. Raises Rejected (too short)."""
        duration_s = covered_s(duration_s, self._slots)
        long_enough(duration_s)
        self._flush()
        if self._sync is not None and self._tail is not None:
            self._follow(self._tail[:0], self._sync, enough=1)
        for batching in (self._encoding.frames, self._encoding.segments):
            batching.job_done()
        seen, repeats = torch.cat(self._clip), torch.cat(self._repeats)
        shown = torch.arange(len(seen)).repeat_interleave(repeats)[: clip_frames(duration_s)]
        moments = torch.cat(self._moments)[: sync_features(duration_s)] if self._moments else None
        return Features(duration_s, seen[on_device(shown, seen.device)], moments)

    def _add(self, pictures: Tensor, repeats: Tensor) -> None:
        if self._every == 1:
            self._waiting.append(pictures)
            self._repeats.append(repeats)
        else:
            self._skip(pictures, repeats)
        if sum(map(len, self._waiting)) >= self._encoding.frames.size:
            self._flush()

    def _skip(self, pictures: Tensor, repeats: Tensor) -> None:
        """Keep the frames shown at slots 0, n, 2n ...; a kept frame stands for all slots up to the next."""
        for frame, times in zip(pictures, repeats.tolist(), strict=True):
            start, self._clip_seen = self._clip_seen, self._clip_seen + times
            slots = range(-(-start // self._every) * self._every, self._clip_seen, self._every)
            if slots:
                self._waiting.append(frame[None])
                self._repeats.append(torch.tensor([len(slots) * self._every]))

    def _flush(self) -> None:
        if any(map(len, self._waiting)):  # the last frames of a film may be Synchformer's alone
            frames, self._waiting = torch.cat(self._waiting), []
            seen = in_batches(lambda f: self._image(clip_pixels(f)), frames, self._encoding.frames, self._before_each)
            self._clip.append(seen)

    def _follow(self, frames: Tensor, sync: Synchformer, *, enough: int) -> None:
        """Whole segments of what has come so far, once there are `enough`; the rest waits for more frames."""
        tail = frames if self._tail is None else torch.cat([self._tail, frames])
        ready = (len(tail) - SEGMENT_FRAMES) // SEGMENT_STRIDE + 1
        while ready >= enough:
            some = min(ready, self._encoding.segments.size)
            used = tail[: (some - 1) * SEGMENT_STRIDE + SEGMENT_FRAMES]
            tokens = sync.patch_embed_3d(sync_pixels(used)[None])
            segments = in_batches(sync.segments, sync.windows(tokens)[0], self._encoding.segments, self._before_each)
            self._moments.append(segments.flatten(0, 1))
            tail, ready = tail[some * SEGMENT_STRIDE :], ready - some
        self._tail = tail
