"""Parts that are made anew, from the database and Storage and back, by a whole worker with the sketch."""

import json

import av
import numpy as np
import pytest

from rhythmai.sample import make_sample
from tests.worker.test_whole_jobs import fetch

RATE = 44_100


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    file = tmp_path_factory.mktemp("video") / "video.mp4"
    make_sample(file, seconds=5)
    return file.read_bytes()


@pytest.fixture
def mend(worker, db):
    """A part of a job's only track made anew, in a job of its own."""

    async def mend(job, start_s, end_s):
        again = await db.fetchval("select queue.again($1, p_start => $2, p_end => $3)", job, start_s, end_s)
        done = await worker.until_ended(again)
        assert (done["status"], done["error"]) == ("completed", None)
        return again

    return mend


@pytest.fixture
def made(worker, insert, video, mend):
    """One track of a film, and the same with a part made anew."""

    async def made(start_s, end_s, **options):
        job = await insert(video_url=await worker.upload(video), options=json.dumps({"variants": 1} | options))
        old = await worker.until_ended(job)
        assert (old["status"], old["error"]) == ("completed", None)
        return job, await mend(job, start_s, end_s)

    return made


@pytest.fixture
def steps_of(db, tmp_path):
    async def steps_of(job):
        """What is kept of the job's track, (channels, samples), and its row."""
        row = await db.fetchrow("select * from public.results where job_id = $1", job)
        (tmp_path / "track").write_bytes(await fetch(row["master_url"] or row["audio_url"]))
        with av.open(tmp_path / "track") as file:
            frames = [frame.to_ndarray().reshape(-1, 2).T for frame in file.decode(audio=0)]
        return np.concatenate(frames, axis=1), row

    return steps_of


@pytest.mark.parametrize("format", ["flac", "mp3"])
async def test_what_lies_outside_of_a_new_part_is_the_old_track(made, steps_of, format):
    """Sample by sample, in every format, by what its row says."""
    job, again = await made(1.0, 2.0, format=format)
    (old, before), (new, after) = await steps_of(job), await steps_of(again)
    mended = json.loads(after["mended"])
    assert mended["start_s"] <= 1.0
    assert 2.0 <= mended["end_s"] < 5.0
    first, end = (round(mended[name] * RATE) for name in ("start_s", "end_s"))
    assert np.array_equal(new[:, :first], old[:, :first])
    assert np.array_equal(new[:, end:], old[:, end:])
    assert (new[:, first:end] != old[:, first:end]).mean() > 0.5
    assert (after["gain_db"], after["seed"]) == (before["gain_db"], before["seed"])
    assert (before["master_url"] is None) == (format in {"flac", "wav"})


async def test_a_mended_loop_is_mended(made, mend, steps_of):
    """Its ends still meet, bit for bit, where a part in the middle is new; then a part at its begin is, and the first one stays."""
    job, again = await made(2.0, 2.5, loop=True)
    third = await mend(again, 0.0, 0.5)
    (old, _), (new, after), (last, begun) = [await steps_of(one) for one in (job, again, third)]
    assert np.array_equal(new[:, [0, -1]], old[:, [0, -1]])
    first, end = (round(json.loads(row["mended"])["end_s"] * RATE) for row in (begun, after))
    assert json.loads(begun["mended"])["start_s"] == 0
    assert np.array_equal(last[:, first:], new[:, first:])
    assert not np.array_equal(last[:, :first], new[:, :first])
    assert np.array_equal(new[:, end:], old[:, end:])
