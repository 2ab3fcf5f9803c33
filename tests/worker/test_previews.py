"""Previews beside the music: when they are begun, who waits for them, and what becomes of those that fail."""

import asyncio
import threading
from dataclasses import replace

import pytest

from tests.worker.memory_queue import MemoryQueue, Watch, job
from worker.errors import Cancelled, LeaseLost, Rejected, Unavailable
from worker.listener import MOST_BESIDE, Listener


@pytest.fixture
def pipeline(pipeline, seams):
    pipeline.previewer = seams
    return pipeline


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


async def test_a_film_gets_its_preview(run, seams):
    """It lies under the id of the job, and the job says where."""
    made = await run()
    assert seams.preview_url == f"https://storage/videos/{made.lease.job_id}/preview-d.mp4"
    assert seams.objects[f"videos/{made.lease.job_id}/preview-d.mp4"] == b"preview"
    assert seams.notes == []


async def test_a_film_that_is_played_as_it_is_gets_none(run, seams):
    """Nothing is uploaded and nothing said."""
    await run(video_url="https://storage/a.mp4")
    assert (seams.preview_url, len(seams.objects), seams.notes) == (None, 3, [])


async def test_no_track_waits_for_it(run, pipeline, seams):
    """All rows are written while it is made; then the job waits for it and needs no slot."""
    seams.preview_may_end.clear()
    freed = []
    pipeline.freed = lambda: freed.append(pipeline.beside)
    running = asyncio.create_task(run())
    await until(lambda: freed)
    assert ([row.index for row in seams.rows], freed, seams.preview_url) == ([0, 1, 2], [1], None)
    await asyncio.to_thread(seams.rested.wait, 20)
    seams.preview_may_end.set()
    await running
    assert seams.preview_url
    assert pipeline.beside == 0


async def test_it_is_begun_when_the_film_was_looked_at(run, seams):
    """A film that is none is not tried."""

    async def look(path, duration_s, views=None):
        raise Rejected("no film", code="not_a_video")
        yield

    seams.look = look
    with pytest.raises(Rejected):
        await run()
    assert not seams.previewing.is_set()


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Rejected("it is damaged", code="broken_video"), "it is damaged"),
        (Unavailable("it took long", code="timeout"), "it took long"),
        (OSError("no space"), "something went wrong inside the worker; it is logged there"),
    ],
)
async def test_one_that_fails_is_a_note(run, seams, error, why):
    """The job has its music, and says what it lacks and why."""
    seams.fail_on = {"preview": error}
    await run()
    assert len(seams.rows) == 3
    assert seams.notes == [f"There is no preview of the film that every browser plays: {why}"]


async def test_a_job_that_fails_takes_its_preview_along(run, seams):
    """What nobody will see is not made to its end."""
    seams.preview_may_end.clear()
    seams.fail_on = {0: Rejected("noise")}
    with pytest.raises(Rejected):
        await run()
    assert seams.preview_url is None


@pytest.mark.parametrize("verdict", [LeaseLost("somebody else's"), Cancelled("taken back")])
async def test_a_lost_lease_that_it_finds_is_the_job_s(run, seams, verdict):
    """A preview that cannot be written because the job is not ours any more ends the job so."""

    async def refused(lease, url):
        raise verdict

    seams.set_preview = refused
    with pytest.raises(type(verdict)):
        await run()


async def test_tracks_have_a_preview_for_players(run, pipeline, seams):
    """An M4A beside the format that was asked for, where previews are wanted."""
    await run(total_count=1)
    assert seams.rows.pop().audio_preview_url is None
    pipeline.for_players = lambda recording, tags: b"small " + tags["title"].encode()
    made = await run(total_count=1)
    assert (row := seams.rows.pop()).audio_preview_url.endswith(".m4a")
    assert seams.objects[row.audio_preview_url.removeprefix("https://storage/")] == b"small d0"
    assert str(made.lease.job_id) in row.audio_preview_url


async def test_a_file_that_players_take_is_its_own_preview(run, pipeline, seams):
    """Also where none are made."""
    master = pipeline.master
    pipeline.master = lambda track, **options: replace(master(track, **options), suffix=".mp3")
    for pipeline.for_players in (None, lambda recording, tags: b"small"):
        await run(total_count=1)
        assert (row := seams.rows.pop()).audio_preview_url == row.audio_url
    assert b"small" not in seams.objects.values()


async def test_a_track_s_preview_is_made_while_it_is_uploaded(run, pipeline, seams):
    """Its row waits for both, and neither for the other."""
    put, making, uploading = seams.put, threading.Event(), asyncio.Event()

    async def putting(bucket, path, data, content_type):
        if data != b"small" and bucket == "audios":
            await asyncio.to_thread(making.wait, 20)
            uploading.set()
        return await put(bucket, path, data, content_type)

    def small(recording, tags):
        making.set()
        return b"small"

    seams.put, pipeline.for_players = putting, small
    await run(total_count=1)
    assert uploading.is_set()
    assert seams.rows[0].audio_preview_url


async def test_who_waits_for_a_preview_alone_keeps_nobody_out():
    """As many jobs as there are slots are claimed beside those, up to some."""
    queue, started, end = MemoryQueue(*(job() for _ in range(MOST_BESIDE + 4))), [], asyncio.Event()

    async def run(job, **_):
        started.append(job)
        listening.wake()  # as `Pipeline.freed` does
        await end.wait()

    listening = Listener(queue=queue, run_job=run, watch=Watch(), slots=1, beside=lambda: len(started))
    task = asyncio.create_task(listening.listen())
    await until(lambda: len(started) == MOST_BESIDE + 1)
    await listening.poll()
    assert listening.running == MOST_BESIDE + 1
    end.set()
    listening.drain()
    await task
