"""The engine: directions and a film in, tracks out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.engine import tiny
from tests.engine.film import show, stretches
from worker.domain import Options
from worker.engines.mmaudio import rendering
from worker.engines.mmaudio.choice import fused_or_plain
from worker.engines.mmaudio.engine import NEGATIVE_PROMPT, MMAudioEngine
from worker.errors import Cancelled, Rejected, Unavailable
from worker.ports import Engine

FAST = Options(steps=3)


def never() -> bool:
    return False


def test_it_is_an_engine(engine: MMAudioEngine):
    """It fits the port, and says its name and model."""
    port: Engine = engine
    assert (port.name, port.model) == ("mmaudio", "tiny-random")


def test_it_says_which_kernels_run_and_why(engine: MMAudioEngine, monkeypatch, caplog):
    """On a CPU plain ones; on a GPU the fused ones, or what is wrong with them in one line."""
    assert engine.kernels == "plain: the engine computes on the CPU"
    monkeypatch.setattr("worker.engines.mmaudio.choice.WHY_PLAIN", why := {})

    def fused() -> str:
        raise RuntimeError("Failed to find C compiler. Please specify via CC\nand more")

    assert fused_or_plain("networks", lambda: "fast", "plain") == "fast"
    assert fused_or_plain("networks", fused, "plain") == "plain"
    assert why == {"networks": "Failed to find C compiler. Please specify via CC"}
    assert "falling back to plain PyTorch: Failed to find C compiler" in caplog.text


def test_a_film_becomes_tracks(engine: MMAudioEngine, film: Path, clip_of, variant_of):
    """Every variant becomes a track of its own that lasts as long as the film, in the order asked for."""
    show(engine, clip_of(film, 3.0))
    variants = [variant_of(i, 100 + i, f"music number {i}") for i in (2, 0, 1)]
    tracks = list(engine.compose(clip_of(film, 3.0), variants, FAST, never))
    assert [track.index for track in tracks] == [2, 0, 1]
    for track in tracks:
        assert track.sample_rate == 44100
        assert track.samples.shape == (1, 133_120)
        assert track.samples.dtype == np.float32
        assert 0.01 < np.abs(track.samples).max() <= 1.0
    assert not np.allclose(tracks[0].samples, tracks[1].samples)


def test_a_track_depends_on_its_own_seed_and_words_only(engine: MMAudioEngine, film: Path, clip_of, variant_of):
    """Alone or in company, first or later, the same seed and caption give the same track."""
    clip = clip_of(film, 2.0)
    show(engine, clip)
    wanted = variant_of(0, 7, "slow strings")
    alone = next(engine.compose(clip, [wanted], FAST, never))
    company = [variant_of(1, 8, "fast drums"), wanted, variant_of(2, 9, "a bell")]
    again = list(engine.compose(clip, company, FAST, never))[1]
    assert np.allclose(alone.samples, again.samples, atol=1e-3)
    other_seed = next(engine.compose(clip, [variant_of(0, 8, "slow strings")], FAST, never))
    other_words = next(engine.compose(clip, [variant_of(0, 7, "fast drums")], FAST, never))
    assert not np.allclose(alone.samples, other_seed.samples, atol=1e-2)
    assert not np.allclose(alone.samples, other_words.samples, atol=1e-2)


def test_a_track_is_handed_on_before_the_next_is_rendered(engine: MMAudioEngine, clip_of, variant_of, monkeypatch):
    """The first of three tracks is there when one has been vocoded."""
    vocoded: list[int] = []
    to_wave = rendering.to_wave
    monkeypatch.setattr(rendering, "to_wave", lambda *given: (vocoded.append(1), to_wave(*given))[1])
    asked = Options(conditioning="text", steps=1)
    tracks = engine.compose(clip_of(Path("nowhere.mp4"), 1.0), [variant_of(i, i) for i in range(3)], asked, never)
    assert [(next(tracks).index, len(vocoded)) for _ in range(3)] == [(0, 1), (1, 2), (2, 3)]


def test_a_film_is_watched_once(engine: MMAudioEngine, film: Path, clip_of, variant_of):
    """Another seed for the same content needs no frames any more."""
    clip = clip_of(film, 1.5)
    show(engine, clip)
    first = next(engine.compose(clip, [variant_of(0, 1)], FAST, never))
    assert engine.prepare(clip, FAST, never) is None
    again = next(engine.compose(clip, [variant_of(0, 1)], FAST, never))
    assert np.array_equal(first.samples, again.samples)


def test_a_film_that_was_forgotten_may_be_watched_again(engine: MMAudioEngine, film: Path, clip_of, variant_of):
    """Composing opens no file: without its features the job is to be tried again."""
    with pytest.raises(Unavailable, match="has forgotten what it saw"):
        next(engine.compose(clip_of(film, 1.4), [variant_of(0, 1)], FAST, never))


def test_the_picture_alone_needs_no_second_look(engine: MMAudioEngine, film: Path, clip_of, variant_of):
    """Once the whole film was watched, text+clip takes the picture's part of it; the other way round it does not do."""
    clip, asked = clip_of(film, 1.6), Options(steps=2, conditioning="text+clip")
    show(engine, clip, asked)
    alone = next(engine.compose(clip, [variant_of(0, 1)], asked, never))
    assert engine.prepare(clip, Options(), never) is not None
    show(engine, clip)
    reused = next(engine.compose(clip, [variant_of(0, 1)], asked, never))
    assert np.allclose(reused.samples, alone.samples, atol=1e-5)


def test_conditioning_decides_what_is_watched(engine: MMAudioEngine, film: Path, clip_of, variant_of):
    """Text alone reads no video; text and picture and everything give music of their own."""
    nowhere = clip_of(Path("nowhere.mp4"), 1.55)
    assert engine.prepare(nowhere, Options(conditioning="text"), never) is None
    text = next(engine.compose(nowhere, [variant_of(0, 1)], Options(steps=3, conditioning="text"), never))
    clip = clip_of(film, 1.55)
    show(engine, clip, Options(conditioning="text+clip"))
    show(engine, clip)
    both = next(engine.compose(clip, [variant_of(0, 1)], Options(steps=3, conditioning="text+clip"), never))
    full = next(engine.compose(clip, [variant_of(0, 1)], FAST, never))
    assert text.samples.shape == both.samples.shape == full.samples.shape
    assert not np.allclose(text.samples, both.samples, atol=1e-3)
    assert not np.allclose(both.samples, full.samples, atol=1e-3)


def test_options_reach_the_sampler(engine: MMAudioEngine, clip_of, variant_of):
    """Negative prompt, guidance and steps change the music; leaving them out means their defaults."""
    clip = clip_of(Path("nowhere.mp4"), 1.0)

    def made(**options) -> np.ndarray:
        asked = Options(**{"conditioning": "text", "steps": 2, **options})
        return next(engine.compose(clip, [variant_of(0, 1)], asked, never)).samples

    usual = made()
    assert np.array_equal(usual, made(negative_prompt=NEGATIVE_PROMPT, guidance=4.5))
    for change in ({"negative_prompt": ""}, {"negative_prompt": "drums"}, {"guidance": 1.0}, {"steps": 3}):
        assert not np.allclose(usual, made(**change), atol=1e-4), change


def test_a_long_film_is_one_piece_of_music(engine: MMAudioEngine, clip_of, variant_of):
    """Beyond one window the whole length comes out."""
    clip = clip_of(Path("nowhere.mp4"), 21.0)
    asked = Options(conditioning="text", steps=2)
    track = next(engine.compose(clip, [variant_of(0, 1)], asked, never))
    assert track.samples.shape[1] == 44100 * 21 // 1024 * 1024 + 1024


def test_too_short_a_film_is_refused(engine: MMAudioEngine, clip_of, variant_of):
    """Below 0.64 s the error says how long it is and how long it must be."""
    with pytest.raises(Rejected, match=r"0\.50 s long; music needs at least 0\.64 s") as caught:
        next(engine.compose(clip_of(Path("nowhere.mp4"), 0.5), [variant_of(0, 1)], Options(), never))
    assert caught.value.code == "too_short"


def test_cancelling_ends_the_job(engine: MMAudioEngine, film: Path, clip_of, variant_of):
    """A cancelled job stops while watching, while sampling, and between tracks."""
    with pytest.raises(Cancelled):
        engine.prepare(clip_of(film, 1.7), Options(), lambda: True).see(next(stretches(film, 1.7, at_once=2)))
    variants = [variant_of(i, i) for i in range(3)]
    made: list[int] = []
    asked = Options(conditioning="text", steps=2)
    tracks = engine.compose(clip_of(film, 1.0), variants, asked, lambda: len(made) == 2)
    made += [next(tracks).index, next(tracks).index]
    with pytest.raises(Cancelled):
        next(tracks)
    assert made == [0, 1]


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_memory_that_runs_out_while_a_track_is_rendered(
    engine: MMAudioEngine, clip_of, variant_of, monkeypatch, words: str
):
    """Graphs are let go of and the track is made all the same; where there are none the job is to be tried again, and the engine lives."""
    asked, variants, there = Options(conditioning="text", steps=1), [variant_of(0, 1)], [True]

    def forget() -> bool:
        return bool(there and there.pop())

    monkeypatch.setattr(engine._runtime.graphs, "forget", forget)
    render = engine._runtime.vocoder.forward

    def scarce(mel: torch.Tensor) -> torch.Tensor:
        if there:
            raise RuntimeError(words)
        return render(mel)

    monkeypatch.setattr(engine._runtime.vocoder, "forward", scarce)
    (track,) = engine.compose(clip_of(Path("x"), 1.0), variants, asked, never)
    assert np.isfinite(track.samples).all()
    there.append(False)
    with pytest.raises(Unavailable, match="out of memory"):
        next(engine.compose(clip_of(Path("x"), 1.0), variants, asked, never))


def test_cancelling_ends_a_long_track_between_its_pieces(engine: MMAudioEngine, clip_of, variant_of):
    """A long film's track is rendered in pieces, and a job cancelled meanwhile makes no further one."""
    asked_at: list[int] = []
    rendered: list[int] = []
    hook = engine._runtime.vocoder.register_forward_hook(lambda *_: rendered.append(1))

    def cancelled() -> bool:
        asked_at.append(len(rendered))
        return len(rendered) == 1

    with hook, pytest.raises(Cancelled):
        next(
            engine.compose(
                clip_of(Path("x"), 21.0), [variant_of(0, 1)], Options(conditioning="text", steps=1), cancelled
            )
        )
    assert asked_at[-1] == len(rendered) == 1


def test_warming_covers_the_usual_shapes(engine: MMAudioEngine):
    """Three variants of 8 s, the same at 25 frames a second, and full batches of a long film's windows are made ready."""
    seen: set[tuple[int, ...]] = set()
    usual = engine._runtime.velocity

    def watched(evaluation, x: torch.Tensor, rows, batch) -> torch.Tensor:
        seen.add(tuple(x.shape))
        return usual(evaluation, x, rows, batch)

    engine._runtime.velocity = watched
    try:
        engine.warm()
    finally:
        engine._runtime.velocity = usual
    assert seen == {(3, 345, 40), (3, 343, 40), (8, 345, 40)}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@torch.inference_mode()
def test_graphs_replay_what_was_evaluated(clip_of, variant_of):
    """On a GPU the captured graph gives the eager numbers, for the job after whose end it was captured and for the next."""
    from worker.engines.mmaudio.evaluation import Evaluation
    from worker.engines.mmaudio.graphs import Graphs

    graphed, eager = (MMAudioEngine(tiny.runtime("cuda")) for _ in range(2))
    graphed.warm()
    eager._runtime.velocity = Evaluation.velocity
    eager._runtime.graphs = Graphs("none")
    clip, asked = clip_of(Path("nowhere.mp4"), 2.0), Options(conditioning="text")
    for seed in (1, 2):
        ours = next(graphed.compose(clip, [variant_of(0, seed, f"music {seed}")], asked, never))
        theirs = next(eager.compose(clip, [variant_of(0, seed, f"music {seed}")], asked, never))
        assert np.allclose(ours.samples, theirs.samples, atol=2e-2)
        graphed.rest(never)
