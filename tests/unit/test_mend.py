"""Mending: a part of a finished track is another one, and every sample outside of it is what it was."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import seams
from tests.conftest import FUZZ
from tests.unit.test_master import RATE, TAGS, decoded
from tests.unit.test_master_ends import take
from worker.domain import FULL, LOOP_S, Kept, Mending, Span, Track
from worker.errors import Rejected, WorkerError
from worker.pipeline.finish.audio_file import write
from worker.pipeline.finish.loudness import integrated_lufs, true_peak
from worker.pipeline.finish.master import master
from worker.pipeline.finish.mend import FfmpegMender

SECONDS = 12.0


def finished(samples, format="flac", loop=False):
    track = Track(index=0, samples=samples, sample_rate=RATE, bpm=100, key="C major")
    return master(track, duration_s=SECONDS, loudness_lufs=-14, format=format, tags=TAGS, loop=loop)


def steps_of(data):
    """(channels, samples), as they are stored."""
    wave, _ = decoded(replace(old(), data=data))
    return np.round(wave * 32768).astype(np.int16)


take_of = cache(partial(take, SECONDS))


@cache
def old(seed=1):
    """A finished track."""
    return finished(take_of(seed))


def asked(start_s, end_s, gain_db=None):
    return Mending(
        start_s=start_s,
        end_s=end_s,
        seed=1,
        gain_db=old().gain_db if gain_db is None else gain_db,
        master_url="https://a.b/0.flac",
    )


def mended(samples, start_s, end_s, *, kept=None, span=None, format="flac", mending=None, loop=False, loops=False):
    kept = kept or Kept(steps=steps_of(old().data), sample_rate=RATE)
    span = span or Span(start_s=start_s, end_s=end_s)
    track = Track(
        index=0, samples=samples, sample_rate=RATE, mended=span, bpm=100, key="C major", loops=loops
    )  # fmt: skip
    how = mending or asked(start_s, end_s)
    return FfmpegMender().mend(track, kept, how, format=format, tags=TAGS, loop=loop)


@settings(deadline=None, max_examples=4 if FUZZ == 1 else 10)
@given(
    edges=st.tuples(st.floats(0, SECONDS), st.floats(0, SECONDS)).map(sorted).filter(lambda edges: edges[1] > edges[0]),
    format=st.sampled_from(["flac", "wav"]),
    whole=st.booleans(),
)
def test_every_sample_outside_the_part_is_the_old_one(edges, format, whole):
    """Bit for bit, whatever part is made anew, from the first sample or up to the last one too; inside it is the new one."""
    start_s, end_s = edges if not whole else (0.0, edges[1])
    recording = mended(take_of(2), start_s, end_s, format=format)
    before, new = steps_of(old().data), steps_of(recording.data)
    first, end = round(start_s * RATE), round(end_s * RATE)
    assert new.shape == before.shape
    assert np.array_equal(new[:, :first], before[:, :first])
    assert np.array_equal(new[:, end:], before[:, end:])
    assert recording.gain_db == old().gain_db
    assert 20 * np.log10(true_peak(new / np.float32(32768), RATE)) <= -1.0
    assert recording.true_peak_db == pytest.approx(20 * np.log10(true_peak(new / np.float32(32768), RATE)), abs=0.05)
    assert recording.loudness_lufs == pytest.approx(integrated_lufs(new / np.float32(32768), RATE), abs=0.05)
    if end - first > RATE:
        middle = slice(first + RATE // 4, end - RATE // 4)
        assert (new[:, middle] != before[:, middle]).mean() > 0.9


def test_the_new_part_is_raised_as_the_old_track_was():
    """The kept gain, and no new search for loudness: a part that is quieter by 12 dB stays so beside what is around it."""
    new = steps_of(mended(take_of(2) * np.float32(0.25), 3.0, 9.0).data)
    whole = steps_of(old(2).data)
    part = slice(4 * RATE, 8 * RATE)
    fall_db = 10 * np.log10((whole[:, part] ** 2.0).mean() / (new[:, part] ** 2.0).mean())
    gains_db = old(2).gain_db - old().gain_db
    assert fall_db - gains_db == pytest.approx(12.04, abs=0.2)


def test_a_loud_part_is_limited_under_the_same_ceiling():
    """Where the kept gain would clip, the limiter turns it down; nothing passes -1 dBTP, crossfades included."""
    for loud in (3.0, 10.0):
        out = steps_of(mended(take_of(2) * np.float32(loud), 2.0, 7.0).data) / np.float32(32768)
        assert 20 * np.log10(true_peak(out, RATE)) <= -1.0


PARTS = ((2.0, 4.5), (6.0, 8.5))


def heard(steps, places_s):
    """What the seam meter says of a track, up to where its end fades."""
    return seams.listen(steps[:, : round(10.4 * RATE)].mean(axis=0) / 32768, RATE, places_s).heard


def test_where_two_loud_sounds_meet_no_peak_is_added():
    """Two tones at the ceiling that have nothing in common would add up to 3 dB over it, were their powers to add up to 1."""
    t = np.arange(round(SECONDS * RATE)) / RATE
    low, high = (np.stack([0.88 * np.sin(2 * np.pi * hz * t)] * 2).astype(np.float32) for hz in (220, 331))
    kept = Kept(steps=np.round(low * FULL).astype(np.int16), sample_rate=RATE)
    out = steps_of(mended(high, 3.0, 7.0, kept=kept, mending=asked(3.0, 7.0, 0.0)).data) / np.float32(32768)
    assert 20 * np.log10(true_peak(out, RATE)) <= -1.0


@pytest.mark.parametrize("lead_s", [0.0, 0.8])
def test_the_seam_meter_hears_nothing(lead_s):
    """Neither where new parts have nothing to do with what is around them, nor where their engine leads over from that and back."""
    t, data = np.arange(round(SECONDS * RATE)) / RATE, old().data
    for start_s, end_s in PARTS:
        share = np.clip(np.minimum(t - start_s, end_s - t) / lead_s, 0, 1) if lead_s else np.ones_like(t)
        raw = (take_of(1) * np.sqrt(1 - share) + take_of(2) * np.sqrt(share)).astype(np.float32)
        data = mended(raw, start_s, end_s, kept=Kept(steps=steps_of(data), sample_rate=RATE)).data
    for within_s in (0.0, 0.05, 0.15):
        places = [at for start_s, end_s in PARTS for at in (start_s + within_s, end_s - within_s)]
        assert heard(steps_of(data), places) == []


@pytest.mark.parametrize(("start_s", "end_s", "seam_s"), [(0.0, 5.5, 5.5), (6.5, SECONDS, 6.5)])
def test_a_part_at_an_end_of_the_track_has_one_seam_that_is_not_heard(start_s, end_s, seam_s):
    """It begins and ends as any track does."""
    wave = steps_of(mended(take_of(2), start_s, end_s).data).mean(axis=0) / 32768
    assert seams.listen(wave, RATE, [seam_s]).heard == []
    assert np.abs(wave[[0, -1]]).max() < 0.001


def test_the_seam_meter_hears_a_part_that_is_set_in_hard():
    """Without crossfades there are seams."""
    hard, new = steps_of(old().data), steps_of(old(2).data)
    for start_s, end_s in PARTS:
        part = slice(round(start_s * RATE), round(end_s * RATE))
        hard[:, part] = new[:, part]
    assert heard(hard, [at for part in PARTS for at in part])


def test_a_part_whose_engine_leads_in_begins_at_once():
    """A stroke 30 ms behind its begin is as loud as it was made; of a part that comes from nowhere it is still behind the old music."""
    click, loud = round(3.03 * RATE), []
    for raw in (take_of(1).copy(), take_of(2).copy()):
        raw[:, click] += 0.3
        new = steps_of(mended(raw, 3.0, 7.0).data)
        loud.append(np.abs(new[:, click].astype(int) - new[:, click - 1]).min())
    assert loud[0] > 5 * loud[1]


def test_the_same_part_again_changes_nothing_that_is_heard():
    """An engine that makes what was there leads over into it at an even level, sample beside sample."""
    new = steps_of(mended(take_of(1), 3.0, 7.0).data).astype(int)
    assert np.abs(new - steps_of(old().data)).max() <= 3


def test_a_mended_track_can_be_mended():
    """Of two parts each is new, what lies around them is the first track's, and a part over both edges is, too."""
    once = mended(take_of(2), 2.0, 4.0)
    kept = Kept(steps=steps_of(once.data), sample_rate=RATE)
    twice = mended(take_of(3), 6.0, 8.0, kept=kept, mending=asked(6.0, 8.0, once.gain_db))
    across = mended(take_of(3), 3.0, 5.0, kept=kept, mending=asked(3.0, 5.0, once.gain_db))
    first, second, third = (steps_of(one.data) for one in (once, twice, across))
    outside = np.r_[0 : 6 * RATE, 8 * RATE : 12 * RATE]
    assert np.array_equal(second[:, outside], first[:, outside])
    outside = np.r_[0 : 3 * RATE, 5 * RATE : 12 * RATE]
    assert np.array_equal(third[:, outside], first[:, outside])
    assert twice.gain_db == across.gain_db == old().gain_db


@pytest.mark.parametrize("format", ["mp3", "m4a"])
def test_of_a_lossy_track_the_kept_flac_is_the_base(format):
    """Before it is encoded every sample outside is the old one; the new FLAC is kept in its turn, under the lower ceiling."""
    lossy = finished(take_of(1), format)
    assert lossy.master is not None
    kept = Kept(steps=steps_of(lossy.master), sample_rate=RATE)
    new = mended(take_of(2), 4.0, 9.0, kept=kept, format=format, mending=asked(4.0, 9.0, lossy.gain_db))
    assert new.master is not None
    assert new.suffix == f".{format}"
    outside = np.r_[0 : 4 * RATE, 9 * RATE : 12 * RATE]
    assert np.array_equal(steps_of(new.master)[:, outside], kept.steps[:, outside])
    assert (steps_of(new.master) != kept.steps).any()
    assert 20 * np.log10(true_peak(steps_of(new.master) / np.float32(32768), RATE)) <= -2.0
    heard, base = decoded(new)[0][:, : 12 * RATE], steps_of(new.master) / np.float32(32768)
    assert ((heard - base) ** 2).mean() < 0.01 * (base**2).mean()


@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 3.0), (8.0, 12.0), (4.0, 6.0)])
def test_a_mended_loop_loops(start_s, end_s):
    """A part at one of its ends leads over from the other end, and back."""
    loops = finished(take(SECONDS + LOOP_S), "wav", loop=True)
    kept = Kept(steps=steps_of(loops.data), sample_rate=RATE)
    new = mended(
        take_of(2), start_s, end_s, kept=kept, loop=True, loops=True, mending=asked(start_s, end_s, loops.gain_db)
    )
    wave = decoded(new)[0].mean(axis=0).astype(np.float64)
    assert seams.listen(np.concatenate([wave] * 3), RATE, [SECONDS, 2 * SECONDS]).heard == []


def test_samples_that_lead_in_and_out_need_not_be_the_whole_track():
    """What an engine leaves out behind the part is not faded towards."""
    full, short = (steps_of(mended(take_of(2)[:, : round(s * RATE)], 3.0, 7.0).data) for s in (SECONDS, 7.5))
    assert np.abs(full.astype(int) - short).max() < 40


def test_one_channel_goes_into_two_and_another_rate_into_none():
    """Both channels get it; samples of another rate are the engine's fault."""
    new = steps_of(mended(take_of(2)[:1], 3.0, 7.0).data)
    assert new.shape == (2, 12 * RATE)
    with pytest.raises(WorkerError, match="2 channels at 48000 Hz goes into no track with 2 at 44100 Hz"):
        FfmpegMender().mend(
            Track(index=0, samples=take_of(2), sample_rate=48_000, mended=Span(start_s=3, end_s=7)),
            Kept(steps=steps_of(old().data), sample_rate=RATE), asked(3, 7), format="flac", tags={},
        )  # fmt: skip


@pytest.mark.parametrize("format", ["flac", "wav"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
async def test_every_sample_of_a_kept_file_is_read(tmp_path, format, channels, rate):
    """Decoded in a confined child, the steps are those that were written, the loudest included."""
    dice = np.random.default_rng(3)
    steps = dice.integers(-32768, 32768, (channels, 3 * rate + 77)).astype(np.int16)
    file = tmp_path / f"track.{format}"
    file.write_bytes(write(steps, rate, format, TAGS))
    kept = await FfmpegMender().read(file, None)
    assert (kept.sample_rate, kept.latents) == (rate, None)
    assert np.array_equal(kept.steps, steps)


async def test_latents_are_read_and_what_is_none_is_told(tmp_path):
    """They come back as they were kept; by a file that holds none nothing can be mended."""
    from safetensors.numpy import save

    track, latents = tmp_path / "track.wav", tmp_path / "latents"
    track.write_bytes(old().data)
    held = np.arange(6, dtype=np.float16).reshape(2, 3)
    latents.write_bytes(save({"latents": held}))
    assert np.array_equal((await FfmpegMender().read(track, latents)).latents, held)
    for wrong in (b"", b"no latents", save({"others": held})):
        latents.write_bytes(wrong)
        with pytest.raises(Rejected, match="cannot be mended: what its engine has to know") as caught:
            await FfmpegMender().read(track, latents)
        assert caught.value.code == "cannot_mend"
