"""The encoders see a film stretch by stretch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.engine.film import slots, stretches
from worker.engines.mmaudio.batching import Batching
from worker.engines.mmaudio.features import VIEWS, Encoding, Features, Watcher, clip_pixels, in_batches, sync_pixels
from worker.errors import Rejected


def watched(watcher: Watcher, film: Path, duration_s: float, at_once: int = 20) -> Features:
    for frames in stretches(film, duration_s, at_once):
        watcher.see(frames)
    return watcher.features(duration_s)


@torch.inference_mode()
def test_streaming_features_are_those_of_the_whole_film(film: Path, engine):
    """Encoders fed stretch by stretch see what they would see at once."""
    runtime = engine._runtime
    seen = watched(Watcher(runtime.image, runtime.synchformer), film, 3.0)
    (whole,) = stretches(film, 3.0)
    clip, sync = slots(whole)
    assert seen.duration_s == 3.0
    assert seen.sync is not None
    assert torch.allclose(seen.clip, runtime.image(clip_pixels(clip[:24])), atol=1e-5)
    assert torch.allclose(seen.sync, runtime.synchformer(sync_pixels(sync[:75])[None])[0], atol=1e-4)


@torch.inference_mode()
def test_the_size_of_the_batches_changes_nothing(film: Path, engine):
    """Stretches without a frame for CLIP, as a film's last one may be, and batches that end with a stretch."""
    runtime, seen = engine._runtime, []
    for batch, at_once in ((64, 10**9), *((size, 2) for size in (1, 2, 3, 7))):
        encoding = Encoding(Batching(batch), Batching(batch))
        seen.append(watched(Watcher(runtime.image, runtime.synchformer, encoding=encoding), film, 1.7, at_once))
    for one in seen[1:]:
        assert torch.allclose(seen[0].clip, one.clip, atol=1e-5)
        assert torch.allclose(seen[0].sync, one.sync, atol=1e-4)


def test_encoders_remember_how_many_frames_fit():
    """A batch that does not fit is halved, and the next film starts with the size that did."""
    tried: list[int] = []

    def encode(items: torch.Tensor) -> torch.Tensor:
        tried.append(len(items))
        if len(items) > 2:
            raise torch.OutOfMemoryError
        return 2 * items

    batching, items = Batching(8), torch.arange(5.0)
    assert torch.equal(in_batches(encode, items, batching), 2 * items)
    assert torch.equal(in_batches(encode, items, batching), 2 * items)
    assert tried == [5, 2, 2, 1, 2, 2, 1]


@torch.inference_mode()
def test_fewer_clip_frames_are_held(film: Path, engine):
    """At a lower rate every n-th vector stands for the ones after it."""
    image = engine._runtime.image
    exact, held = (watched(Watcher(image, None, every=every), film, 2.0).clip for every in (1, 4))
    assert torch.allclose(held, exact[::4].repeat_interleave(4, dim=0), atol=1e-5)


@torch.inference_mode()
def test_a_film_of_which_too_little_can_be_decoded_is_refused(film: Path, engine):
    """However long it was said to be: what was seen decides."""
    watcher = Watcher(engine._runtime.image, None)
    watcher.see(next(stretches(film, 3.0, at_once=5)))
    with pytest.raises(Rejected, match=r"the video is 0\.\d\d s long; music needs at least 0\.64 s"):
        watcher.features(3.0)


def test_the_engine_says_what_it_wants_to_see(engine):
    """Eight and 25 frames a second, squashed for CLIP and the middle for Synchformer."""
    assert engine.frames == VIEWS
    assert [(view.fps, view.side, view.cropped) for view in VIEWS] == [(8, 384, False), (25, 224, True)]
