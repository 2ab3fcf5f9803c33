"""What may be forgotten, and what may not."""

import pytest

STORE = "https://ref.supabase.co/storage/v1/object/public"


async def purge(db, limit: int = 100) -> list[tuple[str, str]]:
    rows = await db.fetch("select * from queue.purge('30 days', $1)", limit)
    return sorted(tuple(row) for row in rows)


@pytest.fixture
async def old_job(db, queue):
    """A job that ended 31 days ago, with one result."""

    async def make(audio: str = "audios/a.flac", **columns):
        job_id = await queue.insert(**columns)
        worker = await queue.worker()
        job = await worker.claim()
        await worker.put(job, audio_url=f"{STORE}/{audio}")
        await worker.finish(job)
        await db.execute("update public.jobs set finished_at = now() - interval '31 days' where id = $1", job_id)
        return job_id

    return make


async def count(db) -> int:
    return await db.fetchval("select count(*) from public.jobs")


async def test_old_jobs_go_and_name_their_objects(db, old_job):
    """A purged job returns the Storage objects of its results and its upload; query strings are not part of a path."""
    await old_job(video_url=f"{STORE}/uploads/me/v.mp4?x=1")
    assert await purge(db) == [("audios", "a.flac"), ("uploads", "me/v.mp4")]
    assert await count(db) == 0
    assert await db.fetchval("select count(*) from public.results") == 0


async def test_objects_that_no_row_names_go_with_their_job(db, old_job):
    """An object whose worker died, or lost its lease, before it wrote the row lies under the job's id: it goes with the job."""
    job_id, other = await old_job("audios/a.flac"), "11111111-2222-3333-4444-555555555555"
    await db.execute(
        "insert into storage.objects (bucket_id, name) values ('audios', $1), ('videos', $2), ('audios', $3)",
        f"{job_id}/0-cafe.flac", f"{job_id}/beef.mp4", f"{other}/0-cafe.flac",
    )  # fmt: skip
    try:
        assert set(await purge(db)) == {
            ("audios", "a.flac"), ("audios", f"{job_id}/0-cafe.flac"), ("videos", f"{job_id}/beef.mp4"),
        }  # fmt: skip
    finally:
        await db.execute("set session_replication_role = replica")
        await db.execute("delete from storage.objects")
        await db.execute("set session_replication_role = origin")


async def test_objects_of_others_are_not_ours_to_delete(db, old_job):
    """A video that lies somewhere else is left alone."""
    await old_job(video_url="https://example.com/v.mp4")
    assert await purge(db) == [("audios", "a.flac")]


async def test_young_and_unfinished_jobs_stay(db, queue, old_job):
    """Only what ended before the given age goes, however long a job has waited."""
    job_id = await old_job()
    await db.execute("update public.jobs set finished_at = now() - interval '29 days' where id = $1", job_id)
    waiting = await queue.insert()
    await db.execute("update public.jobs set created_at = now() - interval '1 year' where id = $1", waiting)
    assert await purge(db) == []
    assert await count(db) == 2


async def test_batches_are_bounded_and_begin_with_the_oldest(db, old_job):
    """p_limit bounds a batch; the next call goes on."""
    for i in range(3):
        job_id = await old_job(f"audios/{i}.flac")
        await db.execute(
            "update public.jobs set finished_at = finished_at - $2 * interval '1 day' where id = $1", job_id, i
        )
    assert [len(await purge(db, 2)), len(await purge(db, 2)), len(await purge(db, 2))] == [2, 1, 0]


async def test_a_job_that_somebody_holds_is_passed_over(db, old_job, dial):
    """Guards `skip locked`: two clean-ups at once share the work instead of waiting for each other."""
    held, _ = await old_job("audios/held.flac"), await old_job("audios/free.flac")
    other = await dial()
    await other.execute("set lock_timeout = '100ms'")
    async with db.transaction():
        await db.execute("select from public.jobs where id = $1 for update", held)
        assert await purge(other) == [("audios", "free.flac")]
    assert await purge(db) == [("audios", "held.flac")]


async def test_a_webhook_that_is_still_under_way_keeps_its_job(db, old_job):
    """The body of a webhook is the job: it is purged after the delivery is settled, not before."""
    await old_job(options={"callback_url": "https://hook"})
    assert await purge(db) == []
    await db.execute("update public.deliveries set state = 'failed', next_at = null")
    assert await purge(db) == [("audios", "a.flac")]


async def test_music_that_a_merge_waits_for_stays(db, queue, old_job):
    """A merge job that has not ended keeps the job whose track it needs."""
    await old_job()
    merge = await queue.insert(kind="merge", options={"audio_url": f"{STORE}/audios/a.flac"})
    assert await purge(db) == []
    await db.execute("select queue.cancel($1)", merge)
    assert await purge(db) == [("audios", "a.flac")]


@pytest.mark.parametrize("source", ["uploads/v.mp4", "videos/v.mp4"])
async def test_an_object_that_another_job_reads_stays(db, queue, old_job, source):
    """Jobs made from the same upload (again, a merge) share it: the last one takes it along."""
    await old_job(video_url=f"{STORE}/{source}")
    other = await queue.insert(video_url=f"{STORE}/{source}")
    assert await purge(db) == [("audios", "a.flac")]
    await db.execute(
        "update public.jobs set status = 'cancelled', finished_at = now() - interval '31 days' where id = $1", other
    )
    assert await purge(db) == [tuple(source.split("/"))]


async def test_a_failed_clean_up_can_be_repeated(db, old_job):
    """Rolled back because Storage failed, the same batch comes again."""
    await old_job()
    transaction = db.transaction()
    await transaction.start()
    first = await purge(db)
    await transaction.rollback()
    assert await purge(db) == first


async def test_uploads_that_no_job_reads_are_found(db, queue):
    """An upload older than a day without a job is unused; a young one, and one that a job reads, are not."""
    await db.execute(
        "insert into storage.objects (bucket_id, name, created_at) values "
        "('uploads', 'unused.mp4', now() - interval '2 days'), ('uploads', 'young.mp4', now()), "
        "('uploads', 'read.mp4', now() - interval '2 days'), ('audios', 'a.flac', now() - interval '2 days')"
    )
    await queue.insert(video_url=f"{STORE}/uploads/read.mp4")
    assert [tuple(row) for row in await db.fetch("select * from queue.unused_uploads()")] == [("uploads", "unused.mp4")]
