"""A part of a track is made anew, and the rest is held."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.engine import generated
from tests.engine.film import show
from tests.engine.tiny import TINY
from worker.domain import Options, Part, Segment
from worker.engines.mmaudio.batching import Batching
from worker.engines.mmaudio.engine import MMAudioEngine
from worker.engines.mmaudio.layers import fuse
from worker.engines.mmaudio.lengths import RATE_44K
from worker.engines.mmaudio.sampling import EulerSolver, Held, Prepared, Sampler, noise
from worker.engines.mmaudio.windows import Windows, lay, single
from worker.errors import Cancelled, Rejected, Unavailable

TEXT = Options(conditioning="text", steps=3)
PER_S = RATE_44K.latents_per_s


def never() -> bool:
    return False


def part(latents: np.ndarray | None, start_s: float, end_s: float) -> Part:
    """Of a track whose samples nobody looks at."""
    nothing = np.zeros((1, 1), np.float32)
    return Part(start_s=start_s, end_s=end_s, seed=1, gain_db=0.0, samples=nothing, sample_rate=44_100, latents=latents)


@pytest.fixture(scope="module")
def old(engine: MMAudioEngine, clip_of, variant_of):
    """A track of four seconds."""
    (track,) = engine.compose(clip_of(Path("x"), 4.0), [variant_of(0, 1)], TEXT, never)
    return track


def prepared(windows: Windows, seeds: list[int], kept: Tensor, held: Tensor) -> tuple[Prepared, object]:
    flow = generated.flow(TINY.flow)
    fuse(flow)
    empty = flow.condition(
        flow.empty_clip(windows.clip_length), flow.empty_sync(windows.sync_length), flow.empty_text()
    )
    asked = empty.take(torch.zeros(len(seeds) * len(windows), dtype=torch.int64))
    start = noise(seeds, windows.latents, flow.shape.latent)
    return Prepared(
        seeds=seeds, noise=start, windows=windows, asked=asked, empty=empty, silent=True, held=Held(kept, held)
    ), flow


@torch.inference_mode()
@pytest.mark.parametrize("windows", [single(2.0, RATE_44K), lay(12.0, RATE_44K)], ids=["one window", "windows"])
def test_what_is_held_goes_the_straight_way(windows: Windows):
    """At every step it is as far between noise and music as the step is; at the end it is what was kept, to the bit."""
    held = torch.ones(windows.latents, 1, dtype=torch.bool)
    held[20:50] = False
    kept = torch.randn(windows.latents, 40)
    asked, flow = prepared(windows, [3], kept, held)
    seen: list[Tensor] = []

    def velocity(evaluation, x: Tensor, rows, batch) -> Tensor:
        seen.append(x[0, :20])
        return torch.sin(3 * x).repeat(batch.copies, 1, 1)

    made = EulerSolver(flow, asked, Sampler(steps=4), velocity)(Batching(), never)
    assert torch.equal(made[0][held[:, 0]], kept[held[:, 0]])
    assert not torch.isclose(made[0, 20:50], kept[20:50]).any(dim=1).all()
    for time, x in zip(torch.linspace(0, 1, 5), seen, strict=False):
        assert torch.allclose(x, (1 - time) * asked.noise[0, :20] + time * kept[:20], atol=1e-6)


def test_a_part_is_new_and_the_rest_is_kept(engine: MMAudioEngine, old, clip_of, variant_of):
    """The new track says exactly which part it is; outside of it its latents equal the kept ones."""
    new = engine.mend(clip_of(Path("x"), 4.0), variant_of(0, 2), part(old.latents, 1.0, 2.5), TEXT, never)
    assert (new.index, new.samples.shape, new.latents.dtype) == (0, old.samples.shape, np.float16)
    assert new.mended.start_s <= 1.0 < new.mended.start_s + 1 / PER_S
    assert new.mended.end_s >= 2.5 > new.mended.end_s - 1 / PER_S
    first, last = round(new.mended.start_s * PER_S), round(new.mended.end_s * PER_S)
    assert np.array_equal(new.latents[:first], old.latents[:first])
    assert np.array_equal(new.latents[last:], old.latents[last:])
    assert (new.latents[first:last] != old.latents[first:last]).any(axis=1).all()


def test_far_from_the_part_it_sounds_as_before(engine: MMAudioEngine, old, clip_of, variant_of):
    """Beyond what VAE and vocoder reach of the part, samples are nearly those of the old track; inside they are others."""
    new = engine.mend(clip_of(Path("x"), 4.0), variant_of(0, 2), part(old.latents, 3.0, 4.0), TEXT, never)
    apart = np.abs(new.samples - old.samples)[0]
    assert apart[: 44_100 * 3 // 2].max() < 0.1 * apart[44_100 * 3 :].max()
    assert new.mended.end_s == 4.0


def test_it_follows_seed_and_words(engine: MMAudioEngine, clip_of, variant_of):
    """The same seed and words give the same part; others give another."""
    clip, some, asked = clip_of(Path("x"), 1.0), part(np.ones((44, 40), np.float16), 0.3, 0.6), replace(TEXT, steps=1)
    one, same, other = (engine.mend(clip, variant_of(0, seed), some, asked, never).latents for seed in (5, 5, 6))
    drums = engine.mend(clip, variant_of(0, 5, "drums"), some, asked, never).latents
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, drums)


def test_a_part_of_a_long_film_with_segments(engine: MMAudioEngine, clip_of, variant_of, monkeypatch):
    """Windows and segments are those of the whole film; even the faintest of what is held is not rounded."""
    monkeypatch.setattr(type(engine._runtime), "render", lambda *_: torch.zeros(1, 44_100))
    monkeypatch.setattr(engine._runtime.flow.latent_mean, "data", torch.full((1, 1, 40), 9.0))
    clip, asked = clip_of(Path("x"), 10.5), replace(TEXT, steps=1, segments=(Segment(start_s=5.0, prompt="drums"),))
    kept = (1e-6 * np.random.default_rng(1).standard_normal((RATE_44K.latents(10.5), 40))).astype(np.float16)
    new = engine.mend(clip, variant_of(0, 2), part(kept, 4.0, 6.0), asked, never).latents
    changed = (new != kept).any(axis=1)
    assert (changed.argmax(), len(new) - changed[::-1].argmax()) == (172, 259)


@torch.inference_mode()
def test_only_windows_that_reach_the_part_are_asked(engine: MMAudioEngine, clip_of, variant_of):
    """What is far away costs nothing: the part is what it is with all windows of the film."""
    latents = torch.randn(RATE_44K.latents(15.0), 40, generator=torch.Generator().manual_seed(1)).half().numpy()
    asked = engine._asked(clip_of(Path("x"), 15.0), replace(TEXT, steps=1), never)
    for start_s, reached in ((12.0, [1, 2]), (0.0, [0])):
        some = asked.mending(part(latents, start_s, start_s + 1.5), TINY)
        assert some.told.windows.starts == tuple(asked.told.windows.starts[k] for k in reached)
        assert some.told.heard == tuple(asked.told.heard[k] for k in reached)
        (ours,) = engine._sample(some, [variant_of(0, 3)])
        (whole,) = engine._sample(replace(some, told=asked.told), [variant_of(0, 3)])
        assert torch.allclose(ours, whole, atol=1e-4)
        assert not torch.equal(ours, torch.from_numpy(latents).float())


def test_the_film_is_watched_as_for_a_whole_track(engine: MMAudioEngine, film: Path, clip_of, variant_of):
    """A part follows the picture; a film that was forgotten is to be shown again."""
    clip, asked = clip_of(film, 1.45), Options(steps=1)
    some = part(np.zeros((63, 40), np.float16), 0.5, 1.0)
    with pytest.raises(Unavailable, match="has forgotten what it saw"):
        engine.mend(clip, variant_of(0, 1), some, asked, never)
    show(engine, clip)
    assert engine.mend(clip, variant_of(0, 1), some, asked, never).mended is not None


@pytest.mark.parametrize(
    ("latents", "start_s", "words"),
    [
        (None, 1.0, "nothing was kept"),
        (np.zeros((100, 40), np.float16), 1.0, r"100 x 40 instead of 173 x 40"),
        (np.zeros((173, 20), np.float16), 1.0, r"173 x 20 instead of 173 x 40"),
        (np.zeros((173, 40), np.float16), 9.0, r"from 9\.00 s"),
    ],
    ids=["nothing kept", "another length", "another model", "beyond the end"],
)  # fmt: skip
def test_what_does_not_fit_is_refused(engine: MMAudioEngine, clip_of, variant_of, latents, start_s, words):
    """With what is wrong, and what to do instead."""
    with pytest.raises(Rejected, match=f"{words}.*the whole track") as caught:
        engine.mend(clip_of(Path("x"), 4.0), variant_of(0, 2), part(latents, start_s, start_s + 1), TEXT, never)
    assert caught.value.code == "cannot_mend"


def test_another_seed_where_one_makes_no_numbers(engine: MMAudioEngine, old, clip_of, variant_of, monkeypatch):
    """As for a whole track: the part is made of the next seed, and the track says so."""
    runtime, made = engine._runtime, []
    render = runtime.render

    def first_fails(latents: Tensor, *given) -> Tensor:
        made.append(1)
        return render(latents * torch.nan if len(made) == 1 else latents, *given)

    monkeypatch.setattr(type(runtime), "render", lambda _self, latents, *given: first_fails(latents, *given))
    new = engine.mend(clip_of(Path("x"), 4.0), variant_of(0, 2), part(old.latents, 1.0, 2.0), TEXT, never)
    assert (new.seed, new.mended is not None, np.isfinite(new.samples).all()) == (3, True, True)
    assert np.array_equal(new.latents[:43], old.latents[:43])


def test_it_stops_when_it_is_cancelled(engine: MMAudioEngine, old, clip_of, variant_of):
    """Before the first step."""
    with pytest.raises(Cancelled):
        engine.mend(clip_of(Path("x"), 4.0), variant_of(0, 2), part(old.latents, 1.0, 2.0), TEXT, lambda: True)
