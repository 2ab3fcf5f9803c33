"""A track that loops is a second longer than its film, for its end to be folded into its beginning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.engine.film import show
from tests.engine.tiny import TINY
from worker.domain import LOOP_S, Options, Part
from worker.engines.mmaudio.engine import MMAudioEngine
from worker.engines.mmaudio.features import Features
from worker.engines.mmaudio.lengths import clip_frames, sync_features


def never() -> bool:
    return False


@pytest.mark.parametrize("conditioning", ["text", "text+clip", "full"])
def test_a_loop_is_a_second_longer(engine: MMAudioEngine, film: Path, clip_of, variant_of, conditioning):
    """Whatever it follows; a master that folds the second finds at least the film and it."""
    clip, asked = clip_of(film, 1.3), Options(steps=1, conditioning=conditioning, loop=True)
    if conditioning != "text":
        show(engine, clip, asked)
    (track,) = engine.compose(clip, [variant_of(0, 1)], asked, never)
    assert 0 <= track.samples.shape[1] - (1.3 + LOOP_S) * 44_100 < 1024
    assert not track.loops


@pytest.mark.parametrize("duration_s", [0.64, 2.0, 7.96, 25.0])
def test_the_picture_begins_again_where_it_ends(duration_s: float):
    """Behind its last features are its first, as many as the second needs."""
    clip, sync = (
        torch.arange(count)[:, None].float() for count in (clip_frames(duration_s), sync_features(duration_s))
    )
    longer = Features(duration_s, clip, sync).around(duration_s + LOOP_S)
    assert (len(longer.clip), len(longer.sync)) == (clip_frames(duration_s + 1), sync_features(duration_s + 1))
    assert longer.clip[len(clip) :, 0].tolist() == [float(n % len(clip)) for n in range(len(longer.clip) - len(clip))]
    assert longer.sync[len(sync) :, 0].tolist() == [float(n % len(sync)) for n in range(len(longer.sync) - len(sync))]
    assert Features(duration_s, clip, None).around(duration_s + LOOP_S).sync is None


def test_a_part_of_a_loop(engine: MMAudioEngine, clip_of, variant_of):
    """What is mended ends with the film; behind it the old second leads into the beginning."""
    clip, asked = clip_of(Path("x"), 2.0), Options(steps=1, conditioning="text", loop=True)
    latents = np.ones((TINY.rate.latents(3.0), 40), np.float16)
    part = Part(
        start_s=1.0,
        end_s=2.0,
        seed=1,
        gain_db=0.0,
        samples=np.zeros((1, 1), np.float32),
        sample_rate=44_100,
        latents=latents,
    )
    track = engine.mend(clip, variant_of(0, 2), part, asked, never)
    assert track.mended.end_s == 2.0
    assert track.latents.shape == latents.shape
    assert (track.latents[88:] == 1).all()
