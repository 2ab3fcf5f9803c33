"""A part of ACE-Step's track is painted anew, and a loop goes on where it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from tests.engine.acestep import load
from tests.unit.clips import clip, direction
from worker.domain import LOOP_S, Options, Part, Segment, Variant
from worker.errors import Cancelled, Rejected

if TYPE_CHECKING:
    from worker.engines.acestep.engine import AceStepEngine

RATE = 48_000
FILM = clip(10.0)
NEW = Variant(index=1, seed=9, direction=direction("jazz", instruments=("trumpet",), prompt="drums"))
FAST = Options(steps=2)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> AceStepEngine:
    return load("tiny-random", tmp_path_factory.mktemp("models"), "cpu")


@pytest.fixture(scope="module")
def old(engine: AceStepEngine) -> np.ndarray:
    """Of the film, as it was mastered: 6 dB louder."""
    variant = Variant(index=1, seed=1, direction=direction("house"))
    (track,) = engine.compose(FILM, [variant], FAST, lambda: False)
    return 2 * track.samples


def part(samples, start_s, end_s, *, sample_rate=RATE) -> Part:
    return Part(
        start_s=start_s, end_s=end_s, seed=1, gain_db=20 * np.log10(2), samples=samples, sample_rate=sample_rate
    )


def mended(engine, samples, start_s, end_s, *, film=FILM, variant=NEW, cancelled=lambda: False, **options):
    asked = Options(**{"steps": 2, **options})
    return engine.mend(film, variant, part(samples, start_s, end_s), asked, cancelled)


@pytest.fixture
def rendered(engine, monkeypatch):
    """The latents of tracks, whose samples are nothing."""
    latents: list[torch.Tensor] = []

    def silent(one: torch.Tensor, duration_s: float) -> np.ndarray:
        latents.append(one)
        return np.zeros((2, round(duration_s * RATE)), np.float32)

    monkeypatch.setattr(engine, "_rendered", silent)
    return latents


@pytest.fixture
def heard(engine):
    """What the network is given at each step: latents, and source latents with the mask of what is to be painted."""
    given: list[dict[str, torch.Tensor]] = []
    hook = engine._pipe.transformer.register_forward_pre_hook(
        lambda _module, _args, named: given.append({k: v for k, v in named.items() if torch.is_tensor(v)}),
        with_kwargs=True,
    )
    yield given
    hook.remove()


def test_a_part_is_painted_and_the_rest_is_held(engine, old, heard, rendered):
    """The network knows which frames are to be painted and sees the rest of the track, as loud as it was before mastering; what is
    held goes the straight way from noise to it."""
    track = mended(engine, old, 4.03, 8.0)
    assert (track.index, track.samples.shape, track.sample_rate) == (1, old.shape, RATE)
    assert (track.mended.start_s, track.mended.end_s) == (pytest.approx(4.0), pytest.approx(8.0))
    source, mask = heard[0]["context_latents"].chunk(2, dim=-1)
    assert mask[0, :, 0].nonzero().flatten().tolist() == list(range(100, 200))
    with torch.inference_mode():
        kept = engine._pipe.vae.encode(torch.from_numpy(old / 2)[None]).latent_dist.mode().transpose(1, 2)
    assert torch.allclose(source[:, :100], kept[:, :100], atol=1e-4)
    noise, second = heard[0]["hidden_states"], heard[1]["hidden_states"]
    time = heard[1]["timestep"][0]
    assert torch.allclose(second[:, 200:], time * noise[:, 200:] + (1 - time) * kept[:, 200:], atol=1e-4)
    assert not torch.allclose(second[:, 100:200], time * noise[:, 100:200] + (1 - time) * kept[:, 100:200], atol=1e-2)


def test_only_the_part_depends_on_the_new_seed(engine, old, rendered):
    """The same call gives the same latents; another seed gives others, of the part alone."""
    for seed in (5, 5, 6):
        mended(engine, old, 4.0, 8.0, variant=Variant(index=1, seed=seed, direction=NEW.direction))
    one, same, other = rendered
    assert torch.equal(one, same)
    assert (one != other).any(dim=1).nonzero().flatten().tolist() == list(range(100, 200))


def test_what_is_held_sounds_as_before(engine, old):
    """But for what the VAE loses, far from the part."""
    track = mended(engine, old, 6.0, 10.0)
    with torch.inference_mode():
        vae = engine._pipe.vae
        again = vae.decode(vae.encode(torch.from_numpy(old / 2)[None]).latent_dist.mode()).sample[0].numpy()
    apart = np.abs(track.samples - again).max(axis=0)
    assert apart[: 5 * RATE].max() < 1e-4 < apart[6 * RATE :].max()


def test_a_part_at_the_end_of_a_short_film(engine, heard, rendered):
    """A film of under ten seconds is painted as the beginning of ten: what nobody hears is painted, too."""
    samples = np.zeros((2, 3 * RATE), np.float32)
    track = mended(engine, samples, 2.0, 3.0, film=clip(3.0))
    _, mask = heard[0]["context_latents"].chunk(2, dim=-1)
    assert (mask.shape[1], mask[0, :, 0].argmax(), mask[0, :, 0].sum()) == (250, 50, 200)
    assert (track.samples.shape, track.mended.end_s) == ((2, 3 * RATE), 3.0)


def test_a_mended_loop_goes_on_where_it_begins(engine, old, heard, rendered):
    """Behind its end the network sees its beginning: the new end meets it, and nothing is to be folded."""
    track = mended(engine, old, 8.0, 10.0, loop=True)
    assert (track.loops, track.samples.shape) == (True, old.shape)
    source, mask = heard[0]["context_latents"].chunk(2, dim=-1)
    assert mask[0, :, 0].nonzero().flatten().tolist() == list(range(200, 250))
    assert mask.shape[1] == 275
    assert torch.allclose(source[:, 252:273], source[:, 2:23], atol=0.2)


def test_a_loop_is_a_second_longer(engine):
    """For its end to be folded into its beginning."""
    (track,) = engine.compose(FILM, [NEW], Options(steps=1, loop=True), lambda: False)
    assert (track.loops, track.samples.shape) == (False, (2, round((10 + LOOP_S) * RATE)))
    with pytest.raises(Rejected, match=r"600 s, and 599 s of a loop"):
        engine.prepare(clip(599.5), Options(loop=True), lambda: False)


def test_segments_reach_the_network(engine, heard, rendered):
    """As words in its lyrics."""
    for segments in ((), (Segment(start_s=6.0, prompt="heavy drums"),)):
        list(engine.compose(FILM, [NEW], Options(steps=1, segments=segments), lambda: False))
    plain, told = (given["encoder_hidden_states"].shape[1] for given in heard)
    assert told > plain
    assert "hits" in engine.ignores


@pytest.mark.parametrize(
    ("samples", "rate", "start_s", "words"),
    [
        (np.zeros((2, 9 * RATE), np.float32), RATE, 4.0, r"9\.00 s .* 10\.00 s"),
        (np.zeros((1, 10 * RATE), np.float32), RATE, 4.0, "1 channel"),
        (np.zeros((2, 10 * 44_100), np.float32), 44_100, 4.0, "44100 Hz"),
        (np.zeros((2, 10 * RATE), np.float32), RATE, 12.5, r"from 12\.50 s"),
    ],
    ids=["another length", "mono", "another rate", "beyond the end"],
)  # fmt: skip
def test_what_does_not_fit_is_refused(engine, samples, rate, start_s, words):
    """With what is wrong, and what to do instead."""
    with pytest.raises(Rejected, match=f"{words}.*the whole track") as caught:
        engine.mend(FILM, NEW, part(samples, start_s, start_s + 2, sample_rate=rate), FAST, lambda: False)
    assert caught.value.code == "cannot_mend"


def test_it_stops_within_a_step(engine, old, heard):
    """A part, too."""
    with pytest.raises(Cancelled):
        mended(engine, old, 4.0, 8.0, cancelled=lambda: len(heard) == 1)
    assert len(heard) == 1


def test_a_track_that_does_not_fit_is_encoded_in_tiles(engine, rendered, monkeypatch):
    """Where memory runs out while it is encoded; the next one is encoded whole again."""
    vae, lengths = engine._pipe.vae, []
    monkeypatch.setattr(vae, "tile_sample_min_length", 6 * RATE)
    monkeypatch.setattr(vae, "tile_sample_overlap", RATE)

    def full(_module, given):
        lengths.append(given[0].shape[-1] // RATE)
        if len(lengths) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with vae.encoder.register_forward_pre_hook(full):
        for _ in range(2):
            mended(engine, np.zeros((2, 10 * RATE), np.float32), 4.0, 8.0, steps=1)
    assert lengths == [10, 5, 6, 3, 10]
    assert torch.allclose(*rendered, atol=1e-3)
