"""A job that makes one part of a track anew, from what is kept of that track to a row of its own."""

import threading
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from tests.unit.test_master import decoded
from tests.worker.seams import direction
from worker.domain import Mending, Options, Span, Track
from worker.errors import Rejected
from worker.pipeline.finish.master import master

RATE = 16_000
MASTER, LATENTS = "https://project/0-abc.flac", "https://project/0-abc.safetensors"


def noise(seed):
    return 0.1 * np.random.default_rng(seed).standard_normal((2, 4 * RATE), np.float32)


MENDING = Mending(start_s=1.0, end_s=2.5, seed=77, gain_db=-2.5, master_url=MASTER)


@cache
def old():
    """A finished track."""
    track = Track(index=0, samples=noise(1), sample_rate=RATE)
    return master(track, duration_s=4.0, loudness_lufs=-14, format="flac", tags={})


@pytest.fixture
def mend(run, pipeline, seams):
    """Run a job that mends; `mend.asked` are the arguments with which its engine was asked."""
    pipeline.master = master
    fetch, kept = seams.fetch, {MASTER: old().data, LATENTS: save({"latents": np.ones((3, 2), np.float16)})}
    latents = np.zeros((3, 2), np.float16)

    def mends(clip, variant, part, options, cancelled):
        mend.asked, mend.thread = (variant, part, options, cancelled()), threading.current_thread().name
        return Track(index=variant.index, samples=noise(2), sample_rate=RATE, mended=mend.span, latents=latents)

    async def fetches(url, into):
        if url not in kept:
            return await fetch(url, into)
        file = into / "kept"
        file.write_bytes(kept[url])
        return file

    async def mend(mending=MENDING, **options):
        options = Options(mend=mending, seed=5, **options)
        await run(options=options, asked_plan=(direction("old"),), total_count=1)

    mend.span, mend.asked = None, None
    seams.fetch, seams.mend = fetches, mends
    return mend


def wave(data):
    return decoded(replace(old(), data=data))[0]


def stored(seams, url):
    return seams.objects[url.removeprefix("https://storage/")]


async def test_a_part_is_made_anew_and_the_rest_is_kept(mend, seams):
    """The engine gets the finished track and how it came to be, in its turn and thread; the row tells the part, the kept gain and
    the seed of the track, and outside of the part the new file has the old samples."""
    await mend()
    variant, part, _, cancelled = mend.asked
    assert (variant.index, variant.seed, variant.direction.title, cancelled) == (0, 5, "old", False)
    assert (part.start_s, part.end_s, part.seed, part.gain_db) == (1.0, 2.5, 77, -2.5)
    assert (part.sample_rate, part.samples.shape, part.latents) == (RATE, (2, 4 * RATE), None)
    assert mend.thread.startswith("engine")
    (row,) = seams.rows
    assert (row.gain_db, row.mended, row.seed, row.duration_s) == (-2.5, Span(start_s=1.0, end_s=2.5), 77, 4.0)
    before, new = wave(old().data), wave(stored(seams, row.audio_url))
    outside = np.r_[0:RATE, round(2.5 * RATE) : 4 * RATE]
    assert np.array_equal(new[:, outside], before[:, outside])
    assert not np.array_equal(new, before)
    assert row.peaks != old().peaks
    assert row.fit is not None
    assert seams.composed == []
    assert not seams.folder.exists()


async def test_what_an_engine_had_to_make_anew_beside_the_part_is_told(mend, seams):
    """Whole bars, for example; never more than the track has."""
    mend.span = Span(start_s=0.5, end_s=9.0)
    await mend()
    (row,) = seams.rows
    assert row.mended == Span(start_s=0.5, end_s=4.0)
    before, new = wave(old().data), wave(stored(seams, row.audio_url))
    assert np.array_equal(new[:, : RATE // 2], before[:, : RATE // 2])
    assert (new[:, 3 * RATE :] != before[:, 3 * RATE :]).mean() > 0.9


async def test_latents_go_to_the_engine_and_new_ones_are_kept(mend, seams):
    """So that the new track can be mended in its turn."""
    await mend(replace(MENDING, latents_url=LATENTS))
    assert np.array_equal(mend.asked[1].latents, np.ones((3, 2)))
    assert not load(stored(seams, seams.rows[0].latents_url))["latents"].any()


async def test_a_lossy_track_keeps_a_flac_again(mend, seams):
    """Its samples are the old ones outside of the part."""
    await mend(format="mp3")
    (row,) = seams.rows
    assert Path(row.audio_url).suffix == ".mp3"
    new = wave(stored(seams, row.master_url))
    assert np.array_equal(new[:, :RATE], wave(old().data)[:, :RATE])


@pytest.mark.parametrize(("start_s", "end_s"), [(3.0, 4.2), (5.0, 6.0), (2.0, 2.0), (2.0, 1.0), (-1.0, 2.0)])
async def test_a_part_that_is_not_in_the_track_is_refused(mend, seams, start_s, end_s):
    """With the length of the track, and before any engine has worked."""
    with pytest.raises(Rejected, match="is no part of a track of 4 s") as caught:
        await mend(replace(MENDING, start_s=start_s, end_s=end_s))
    assert caught.value.code == "cannot_mend"
    assert (seams.rows, mend.asked) == ([], None)


@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 4.0), (0.0, 1.0), (3.0, 4.004)])
async def test_a_part_may_reach_the_ends(mend, seams, start_s, end_s):
    """From 0 s and up to the end, whose time may be told rounded."""
    await mend(replace(MENDING, start_s=start_s, end_s=end_s))
    assert seams.rows[0].mended == Span(start_s=start_s, end_s=min(4.0, end_s))
    assert mend.asked[1].end_s <= 4.0


async def test_an_engine_that_cannot_mend_says_so(mend, seams):
    """The job fails with its words."""

    def cannot(*_):
        raise Rejected("the latents are another model's", code="cannot_mend")

    seams.mend = cannot
    with pytest.raises(Rejected, match="another model's"):
        await mend()
    assert seams.rows == []


async def test_a_retry_of_a_mended_track_makes_nothing(run, mend, seams):
    """Its row is there already."""
    await run(options=Options(mend=MENDING), asked_plan=(direction("old"),), total_count=1, done=frozenset({0}))
    assert (mend.asked, seams.rows) == (None, [])
