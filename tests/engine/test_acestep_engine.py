"""ACE-Step's whole way, with random weights on a CPU."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from tests.engine.acestep import load
from tests.unit.clips import clip, direction
from worker.domain import Options, Variant
from worker.engines.acestep.checkpoints import Lock, checked, missing, model_named
from worker.errors import Cancelled, Misconfigured, Rejected, Unavailable

if TYPE_CHECKING:
    from worker.engines.acestep.engine import AceStepEngine

TINY = model_named("tiny-random")
FILM = clip(12.0, (6.0,))
EQUAL = 3e-6
"""Random weights hardly listen to words: rounding moves a sample by under 1e-6, another tempo by more than 1e-5."""
VARIANTS = [
    Variant(index=0, seed=1, direction=direction("jazz", instruments=("trumpet", "piano"), key="D dorian")),
    Variant(index=2, seed=2, direction=direction("house", tempo_bpm=124, key="F# major", prompt="house")),
    Variant(index=3, seed=3, direction=direction("ambient", prompt="a much longer caption than the others have")),
]


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def engine(models_dir: Path) -> AceStepEngine:
    """Its checkpoint is not there, and made."""
    return load(TINY.name, models_dir, "cpu")


@pytest.fixture(scope="module")
def three(engine: AceStepEngine):
    return list(engine.compose(FILM, VARIANTS, Options(), lambda: False))


def composed(engine, variants=VARIANTS[:1], film=FILM, cancelled=lambda: False, **options):
    return list(engine.compose(film, variants, Options(**options), cancelled))


def test_tracks_come_in_order_and_sound(three):
    """Stereo at 48 kHz, as long as the film, alive, and each another; tempo and key are left to be heard."""
    assert [track.index for track in three] == [0, 2, 3]
    for track in three:
        assert (track.samples.shape, track.samples.dtype, track.sample_rate) == ((2, 576_000), np.float32, 48_000)
        assert 0.01 < np.abs(track.samples).max() < 10
        assert (track.bpm, track.key) == (None, None)
    assert np.abs(three[0].samples - three[1].samples).max() > 0.01


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_variant_equals_itself_alone(engine, three, place):
    """Captions of other lengths, other tempos and other seeds beside it change nothing."""
    (alone,) = composed(engine, VARIANTS[place : place + 1])
    assert np.abs(alone.samples - three[place].samples).max() < EQUAL


def test_each_variant_has_its_own_tempo_and_key(engine, three):
    """Another tempo is another track, whatever stands beside it."""
    faster = direction("jazz", instruments=("trumpet", "piano"), key="D dorian", tempo_bpm=180)
    first, _ = composed(engine, [Variant(index=0, seed=1, direction=faster), VARIANTS[1]])
    assert np.abs(first.samples - three[0].samples).max() > 5 * EQUAL


@pytest.mark.parametrize(("duration_s", "samples"), [(0.5, 24_000), (3.0, 144_000), (10.3, 494_400)])
def test_a_track_is_as_long_as_its_film(engine, duration_s, samples):
    """A film of under ten seconds gets the beginning of ten."""
    (track,) = composed(engine, film=clip(duration_s))
    assert track.samples.shape == (2, samples)


def test_it_stops_within_a_step(engine):
    """A job that is cancelled is not sampled to its end."""
    steps = []
    counting = engine._pipe.transformer.register_forward_hook(lambda *_: steps.append(1))
    try:
        with pytest.raises(Cancelled):
            composed(engine, cancelled=lambda: len(steps) >= 3)
    finally:
        counting.remove()
    assert len(steps) == 3


def test_a_track_that_does_not_fit_is_rendered_in_tiles(engine):
    """Of twenty seconds each; it is the same, and the next one is rendered whole again."""
    lengths = []

    def counted(_module, given):
        lengths.append(given[0].shape[-1])
        if len(lengths) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = engine._pipe.vae.decoder.register_forward_pre_hook(counted)
    try:
        whole, tiled, after = (composed(engine, film=clip(21.0), steps=1)[0].samples for _ in range(3))
    finally:
        hook.remove()
    assert lengths == [525, 525, 448, 205, 525]
    assert np.abs(tiled - whole).max() < EQUAL
    assert np.array_equal(after, whole)


@pytest.fixture
def room(engine):
    """How many variants fit into memory at once; 0: not one."""
    fits = {"variants": 3}

    def full(_module, _given, named):
        if len(named["hidden_states"]) > fits["variants"]:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = engine._pipe.transformer.register_forward_pre_hook(full, with_kwargs=True)
    yield fits
    hook.remove()


def test_out_of_memory_halves_the_batch(engine, three, room):
    """The tracks are the same, made fewer at a time."""
    room["variants"] = 1
    for track, whole in zip(composed(engine, VARIANTS), three, strict=True):
        assert track.index == whole.index
        assert np.abs(track.samples - whole.samples).max() < EQUAL


def test_one_that_does_not_fit_alone_is_told(engine, room):
    """There is nothing left to halve."""
    room["variants"] = 0
    with pytest.raises(Unavailable, match="out of memory for a single track"):
        composed(engine)


def test_films_of_over_ten_minutes_are_refused(engine):
    """Before anything is composed, with the limit in words."""
    with pytest.raises(Rejected, match="at most 600 s"):
        engine.prepare(clip(601.0), Options(), lambda: False)


def test_steps_are_the_users(engine):
    """`steps` of a job goes before the eight of the checkpoint."""
    steps = []
    counting = engine._pipe.transformer.register_forward_hook(lambda *_: steps.append(1))
    try:
        composed(engine, steps=2)
    finally:
        counting.remove()
    assert len(steps) == 2


def test_a_changed_file_is_not_loaded(engine, models_dir: Path, tmp_path: Path):
    """Every file is checked at every load, and the one that is not what was pulled is named."""
    shutil.copytree(models_dir, tmp_path, dirs_exist_ok=True)
    folder = checked(TINY, tmp_path)
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(Misconfigured, match=r"diffusion_pytorch_model\.safetensors is not what was pulled"):
        load(TINY.name, tmp_path, "cpu")
    file.unlink()
    assert missing(TINY, tmp_path) == ["vae/diffusion_pytorch_model.safetensors"]


def test_the_tiny_checkpoint_is_always_the_same(engine, models_dir: Path, tmp_path: Path):
    """Made twice, it has the same bytes."""
    from worker.engines.acestep import tiny

    tiny.write(tmp_path)
    first, second = (Lock.read(TINY.folder(folder)) for folder in (models_dir, tmp_path))
    assert first == second
    assert first is not None
    assert len(first.files) >= 8
