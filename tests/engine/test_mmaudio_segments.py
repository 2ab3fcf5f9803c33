"""Segments: every stretch of a film hears its own words, and one ends in the next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.engine import generated
from tests.engine.tiny import TINY
from worker.domain import Options, Segment
from worker.engines.mmaudio.engine import NEGATIVE_PROMPT, MMAudioEngine
from worker.engines.mmaudio.lengths import RATE_44K
from worker.engines.mmaudio.sampling import Sampler
from worker.engines.mmaudio.windows import lay
from worker.engines.mmaudio.wording import ENDING, LOOPING, caption, told

PER_S = RATE_44K.latents_per_s
CALM, LIVELY = Segment(start_s=0.0, energy=0.1), Segment(start_s=4.0, energy=0.9, prompt="heavy drums")


def never() -> bool:
    return False


def latents(engine: MMAudioEngine, clip, variants, **options) -> list[np.ndarray]:
    """Of tracks that are not rendered."""
    asked = engine._asked(clip, Options(conditioning="text", steps=2, **options), never)
    return [one.numpy() for one in engine._sample(asked, variants) if one is not None]


@pytest.mark.parametrize("duration_s", [8.0, 21.0, 60.0])
def test_every_stretch_is_heard_in_its_own_words(duration_s: float):
    """Of each frame half a second away from where a segment begins, all shares are of that frame's segment; they sum to one."""
    starts_s = [0.0, 1.5, duration_s / 2, duration_s - 2]
    laid = lay(duration_s, RATE_44K)
    windows = laid.split([round(start * PER_S) for start in starts_s[1:]], fade=round(PER_S))
    assert torch.allclose(windows.shares.sum(dim=0), torch.ones(laid.latents), atol=1e-6)
    own = torch.tensor(windows.stretches)
    at_s = (torch.arange(laid.latents) + 0.5) / PER_S
    for number, (start_s, end_s) in enumerate(zip(starts_s, [*starts_s[1:], duration_s], strict=True)):
        inside = (at_s > start_s + 0.52) & (at_s < end_s - 0.52)
        assert inside.any()
        assert torch.allclose(windows.shares[own == number][:, inside].sum(dim=0), torch.ones(1), atol=1e-6)


def test_a_border_is_crossfaded():
    """Within half a second around it one segment gives way to the next, evenly at the border itself."""
    windows = lay(8.0, RATE_44K).split([172], fade=43)
    later = windows.shares[1]
    assert (later[:150] == 0).all()
    assert later[171:173].mean() == pytest.approx(0.5, abs=1e-3)
    assert (later.diff() >= 0).all()
    assert (later[194:] == 1).all()


def test_a_window_is_asked_only_what_it_reaches():
    """A window that lies in one segment goes through the network once, with that one's words."""
    windows = lay(60.0, RATE_44K).split([round(33 * PER_S)], fade=round(PER_S))
    assert len(windows) == len(lay(60.0, RATE_44K)) + 1
    assert len(windows.starts) == len(windows.clip_starts) == len(windows.sync_starts) == len(windows.stretches)


def test_without_segments_nothing_is_said_beside_the_direction():
    """A short film is told its direction alone; of a longer one the last window hears an ending, unless it is to loop."""
    assert told(Options(), lay(8.0, RATE_44K), PER_S).beside == ("",)
    long = told(Options(), lay(30.0, RATE_44K), PER_S)
    assert (long.beside, long.heard) == (("", ENDING), (*(0,) * (len(long.windows) - 1), 1))
    assert told(Options(loop=True), lay(31.0, RATE_44K), PER_S).beside == (LOOPING,)


def test_segments_are_told_in_words():
    """Their prompt and their energy; neighbours that say the same are one, what comes before the first hears the direction alone."""
    segments = (
        Segment(start_s=2.0, energy=0.0),
        Segment(start_s=4.0, energy=0.1),
        LIVELY,
        Segment(start_s=6.0),
        Segment(start_s=99.0, prompt="x"),
    )
    said = told(Options(segments=segments), lay(8.0, RATE_44K), PER_S)
    assert said.beside == ("", "calm", "heavy drums, energetic", "")
    assert said.windows.borders == tuple(round(at * PER_S) for at in (2.0, 4.0, 6.0))
    assert said.heard == (0, 1, 2, 3)


def test_the_last_segment_ends():
    """What the last window says beside its segment is an ending, in that segment's words."""
    said = told(Options(segments=(CALM, Segment(start_s=25.0, prompt="bells"))), lay(30.0, RATE_44K), PER_S)
    assert said.beside == ("calm", "bells", f"bells, {ENDING}")
    assert [said.beside[own] for own in said.heard][-1] == f"bells, {ENDING}"
    assert sum(own == 2 for own in said.heard) == 1


def test_a_caption_has_room_for_both():
    """What is said beside a direction takes at most half of what the text encoder sees, unless the direction leaves it more."""

    def words(text: str) -> int:
        return len(text.split())

    long = ", ".join(f"tag{n}" for n in range(200))
    whole = caption(long, " ".join(f"w{n}" for n in range(200)), generated.tokens)
    assert words(whole) <= 75
    assert sum(word.startswith("w") for word in whole.split()) == pytest.approx(37, abs=2)
    assert whole.startswith("tag0, tag1")
    short = caption("piano", " ".join(f"w{n}" for n in range(200)), generated.tokens)
    assert 70 <= words(short) <= 75
    assert caption("calm  piano", "", generated.tokens) == "calm  piano"
    assert caption("piano", "bells", generated.tokens) == "piano, bells"


def test_segments_change_their_own_stretch_most(engine: MMAudioEngine, clip_of, variant_of):
    """In a film of one window, too, the music before a segment's border changes less than behind it."""
    clip, variants = clip_of(Path("x"), 6.0), [variant_of(0, 1)]
    (plain,) = latents(engine, clip, variants)
    (parted,) = latents(engine, clip, variants, segments=(Segment(start_s=3.0, prompt="heavy drums"),))
    moved = np.abs(plain - parted).mean(axis=1)
    assert moved[:100].mean() < 0.5 * moved[160:].mean()


def test_a_segment_for_all_of_a_film_is_a_direction(engine: MMAudioEngine, clip_of, variant_of):
    """One segment from the beginning is heard as if the direction had said it."""
    clip = clip_of(Path("x"), 3.0)
    (one,) = latents(engine, clip, [variant_of(0, 1, "piano")], segments=(Segment(start_s=0.0, prompt="bells"),))
    (other,) = latents(engine, clip, [variant_of(0, 1, "piano, bells")])
    assert np.array_equal(one, other)


def test_variants_with_segments_do_not_hear_each_other(engine: MMAudioEngine, clip_of, variant_of):
    """Alone or in company, with segments in windows, the same seed and words give the same music."""
    clip, wanted = clip_of(Path("x"), 10.5), variant_of(1, 7, "slow strings")
    (alone,) = latents(engine, clip, [wanted], segments=(CALM, LIVELY))
    _, again = latents(engine, clip, [variant_of(0, 8, "a bell"), wanted], segments=(CALM, LIVELY))
    assert np.allclose(alone, again, atol=2e-3)


@torch.inference_mode()
def test_a_usual_job_is_the_references(engine: MMAudioEngine, clip_of, variant_of):
    """Without segments, no word is added and no batch is another: latents are bit for bit those of the plain way."""
    variants = [variant_of(n, n, f"music {n}") for n in range(2)]
    made = latents(engine, clip_of(Path("x"), 3.0), variants)
    runtime = engine._runtime
    texts = runtime.read([variant.direction.prompt for variant in variants])
    prepared = runtime.prepared(lay(3.0, TINY.rate), None, texts, NEGATIVE_PROMPT, [0, 1])
    for one, other in zip(made, runtime.sample(prepared, Sampler(steps=2), never), strict=True):
        assert np.array_equal(one, other.numpy())


def test_hits_are_not_met(engine: MMAudioEngine):
    """Its results say so."""
    assert engine.ignores == {"hits"}
