"""Deleting a job of one's own: what goes, when, and what stays."""

from uuid import uuid4

import pytest

from tests.database.test_events import events
from tests.database.test_retention import STORE, deleted, put

__all__ = ["put"]


@pytest.fixture
def erase(db):
    """Deletes a job for a caller; returns the answer."""

    async def erase(job_id, user=None):
        return await db.fetchval("select queue.erase($1, $2)", job_id, user)

    return erase


@pytest.fixture
def made(queue, put):
    """Makes a job whose worker holds it, with a track, and another thing under its id; returns its id and how it ends."""

    async def made(**columns):
        job_id = await queue.insert(**columns)
        worker = await queue.worker()
        job = await worker.claim()
        assert job["id"] == str(job_id)
        await worker.put(job, audio_url=f"{STORE}/audios/{job_id}/a.flac")
        await put(f"audios/{job_id}/a.flac", f"videos/{job_id}/preview.mp4")

        async def end(how="finish"):
            return await getattr(worker, how)(job)

        return job_id, end

    return made


ITS_OWN = [("audios", "a.flac"), ("videos", "preview.mp4")]


async def test_a_job_that_has_ended_goes_at_once(db, queue, made, erase, put):
    """The answer is the job as it was last; row, results and webhooks are gone, and its files and its upload are to be deleted."""
    await put("uploads/film.mp4")
    job_id, end = await made(
        video_url=f"{STORE}/uploads/film.mp4", options={"callback_url": "https://hook", "variants": 1}
    )
    await end()
    answer = await erase(job_id)
    assert (answer["job_id"], answer["status"], answer["completed_count"]) == (str(job_id), "completed", 1)
    for table in ("jobs", "results", "deliveries"):
        assert await db.fetchval(f"select count(*) from public.{table}") == 0
    assert await deleted(db) == [*ITS_OWN[:1], ("uploads", "film.mp4"), *ITS_OWN[1:]]
    assert await erase(job_id) is None, "the second time there is no such job"


async def test_a_job_that_waits_is_cancelled_and_gone(db, queue, erase, put):
    """No worker gets it, and the upload of a job without any result goes as well."""
    await put("uploads/film.mp4", "uploads/song.mp3")
    options = {"audio_url": f"{STORE}/uploads/song.mp3"}
    job_id = await queue.insert(kind="merge", video_url=f"{STORE}/uploads/film.mp4", options=options)
    assert (await erase(job_id))["status"] == "cancelled"
    assert await (await queue.worker()).claim() is None
    assert await deleted(db) == [("uploads", "film.mp4"), ("uploads", "song.mp3")]


@pytest.mark.parametrize("how", ["finish", "release"])
async def test_a_running_job_goes_when_its_worker_has_stopped(db, queue, made, erase, how):
    """It is told to stop as by a cancel, and goes in the transaction in which it ends, whichever way."""
    job_id, end = await made()
    assert (await erase(job_id))["status"] == "processing"
    assert (await queue.job(job_id))["cancel_requested"]
    assert await deleted(db) == []
    assert (await erase(job_id))["status"] == "processing", "asked twice, it is still on its way"
    assert await end(how) == "ok"
    assert await queue.job(job_id) is None
    assert await deleted(db) == ITS_OWN


async def test_a_job_whose_worker_died_goes_with_the_next_sweep(db, queue, erase):
    """Nobody has to come back for it."""
    job_id = await queue.insert()
    worker = await queue.worker()
    await worker.claim()
    await erase(job_id)
    await worker.crash()
    await queue.sweep()
    assert await queue.job(job_id) is None


async def test_only_who_may_see_a_job_deletes_it(queue, erase):
    """An owned job is its owner's; to others there is none."""
    ann = uuid4()
    job_id = await queue.submit(p_owner=ann)
    for stranger in (None, uuid4()):
        assert await erase(job_id, stranger) is None
    assert not (await queue.job(job_id))["unwanted"]
    assert (await erase(job_id, ann))["status"] == "cancelled"
    assert await queue.job(job_id) is None


async def test_what_others_use_stays_as_long_as_they_do(db, queue, made, erase, put):
    """An upload stays while any other job reads it, a track while a merge waits for it; then they go, too."""
    film = f"{STORE}/uploads/film.mp4"
    await put("uploads/film.mp4")
    job_id, end = await made(video_url=film)
    await end()
    merge = await queue.insert(kind="merge", video_url=film, options={"audio_url": f"{STORE}/audios/{job_id}/a.flac"})
    await erase(job_id)
    assert await deleted(db) == ITS_OWN[1:]
    await db.execute("select queue.cancel($1)", merge)
    assert await deleted(db) == ITS_OWN[:1]
    await erase(merge)
    assert await deleted(db) == [("uploads", "film.mp4")]


async def test_what_somebody_else_uploaded_stays(db, queue, erase, put):
    """Whoever learns the address of a user's upload can make a job of it, but not have the upload deleted."""
    ann, film = uuid4(), f"{STORE}/uploads/ann.mp4"
    await put("uploads/ann.mp4")
    await db.execute("select queue.take_upload('ann.mp4', 10, $1, null)", ann)
    await erase(await queue.submit(p_video_url=film, p_client="192.0.2.1"))
    assert await deleted(db) == []
    await erase(await queue.submit(p_video_url=film, p_owner=ann), ann)
    assert await deleted(db) == [("uploads", "ann.mp4")]


async def test_what_is_used_again_before_storage_is_asked_stays(db, queue, erase, put):
    """A new job for the same upload saves it."""
    await put("uploads/film.mp4")
    await erase(await queue.insert(video_url=f"{STORE}/uploads/film.mp4"))
    again = await queue.insert(video_url=f"{STORE}/uploads/film.mp4")
    assert await deleted(db) == []
    await erase(again)
    assert await deleted(db) == [("uploads", "film.mp4")]


async def test_what_a_lost_worker_brings_later_goes_as_well(db, made, erase, put):
    """A quarter of an hour later the place of a deleted job is looked through once more, and then never again."""
    job_id, end = await made()
    await end()
    await erase(job_id)
    await deleted(db)
    await put(f"audios/{job_id}/late.flac")

    async def tidied():
        await db.execute("select setval('private.tidied_ms', 1)")
        return await db.fetch("select * from queue.tidy()")

    assert await tidied() == []
    await db.execute("update private.deleted_jobs set since = now() - interval '16 minutes'")
    assert ("audios", f"{job_id}/late.flac") in await tidied()
    assert await db.fetchval("select count(*) from private.deleted_jobs") == 0


async def test_whoever_watches_is_told(db, queue, made, erase):
    """The last events on the topic of a running job are its end and that it is gone; of one that had ended, that it is gone."""
    job_id, end = await made()
    await erase(job_id)
    await end()
    last = dict((await events(db, job_id))[-2:])
    assert last["job"]["status"] == "cancelled"
    assert last["deleted"]["job_id"] == str(job_id)
    ended, end = await made()
    await end()
    await erase(ended)
    assert [event for event, _ in await events(db, ended)][-2:] == ["job", "deleted"]


async def test_an_event_that_cannot_be_sent_keeps_no_job(db, queue, erase):
    """Realtime in trouble does not keep a deleted job."""
    job_id = await queue.insert()
    await db.execute("alter function realtime.send(jsonb, text, text, boolean) rename to broken")
    try:
        await erase(job_id)
    finally:
        await db.execute("alter function realtime.broken(jsonb, text, text, boolean) rename to send")
    assert await queue.job(job_id) is None
