"""What is forgotten, in which order, and what never is."""

import pytest

from tests.conftest import fixture

STORE = "https://ref.supabase.co/storage/v1/object/public"


async def purge(db, limit: int = 100) -> list[tuple[str, str]]:
    """Purges once; returns what Storage is to delete now, under the name of its job."""
    await db.fetchval("select queue.purge('30 days', $1)", limit)
    return await deleted(db)


async def deleted(db) -> list[tuple[str, str]]:
    """Storage deletes what it is to delete; returns it."""
    rows = await db.fetch("select * from queue.discarded()")
    await db.executemany("select queue.deleted($1, array[$2])", rows)
    return sorted((row["bucket"], row["path"].partition("/")[2] or row["path"]) for row in rows)


@fixture
async def put(db):
    """Puts objects into Storage's table, each three days old; they are gone afterwards."""

    async def put(*objects: str) -> None:
        for bucket, _, name in (one.partition("/") for one in objects):
            await db.execute(
                "insert into storage.objects (bucket_id, name, created_at) values ($1, $2, now() - interval '3 days')",
                bucket,
                name,
            )

    yield put
    await db.execute("set session_replication_role = replica")
    await db.execute("delete from storage.objects")
    await db.execute("set session_replication_role = origin")
    await db.execute("truncate private.discarded")
    await db.execute("update private.settings set uploads_walked = ''")


@pytest.fixture
def old_job(db, queue, put):
    """Makes a job that ended 31 days ago with a track under its id; returns its id."""

    async def make(track: str = "a.flac", **columns):
        job_id = await queue.insert(**columns)
        worker = await queue.worker()
        job = await worker.claim()
        await worker.put(job, audio_url=f"{STORE}/audios/{job_id}/{track}")
        await worker.finish(job)
        await put(f"audios/{job_id}/{track}")
        await db.execute("update public.jobs set finished_at = now() - interval '31 days' where id = $1", job_id)
        return job_id

    return make


async def count(db) -> int:
    return await db.fetchval("select count(*) from public.jobs")


async def test_old_jobs_go_and_name_their_objects(db, old_job):
    """A purged job's rows are gone, and what lies under its id is discarded."""
    await old_job()
    assert await purge(db) == [("audios", "a.flac")]
    assert await count(db) == 0
    assert await db.fetchval("select count(*) from public.results") == 0


async def test_objects_that_no_row_names_go_with_their_job(db, old_job, put):
    """An object whose worker died, or lost its lease, before it wrote the row lies under the job's id: it goes with the job."""
    job_id, other = await old_job(), "11111111-2222-3333-4444-555555555555"
    await put(f"audios/{job_id}/0-cafe.flac", f"videos/{job_id}/beef.mp4", f"audios/{other}/0-cafe.flac")
    assert await purge(db) == [("audios", "0-cafe.flac"), ("audios", "a.flac"), ("videos", "beef.mp4")]


async def test_what_a_living_job_names_stays(db, queue, old_job):
    """A track that another job reads as its video, or that another job's result names, is not discarded."""
    read, named = await old_job(), await old_job()
    await queue.insert(video_url=f"{STORE}/audios/{read}/a.flac")
    await queue.insert()
    worker = await queue.worker()
    while (job := await worker.claim())["video_url"].startswith(STORE):
        pass
    await worker.put(job, audio_url=f"https://cdn.example/storage/v1/object/public/audios/{named}/a%2Eflac")
    assert await purge(db) == []
    await db.execute("delete from public.jobs where video_url like $1", f"%{read}%")
    assert await deleted(db) == [("audios", "a.flac")], "nobody reads it any more"


async def test_an_address_on_another_host_deletes_nothing(db, queue, old_job):
    """A job that failed on somebody else's address, which looks like one of ours, takes no track of a living job along."""
    living = await old_job()
    await db.execute("update public.jobs set finished_at = now() where id = $1", living)
    stranger = await queue.insert(
        video_url=f"https://elsewhere.example/storage/v1/object/public/audios/{living}/a.flac"
    )
    await db.execute(
        "update public.jobs set status = 'failed', error = 'x', error_code = 'x', finished_at = now() - interval '31 days' where id = $1",
        stranger,
    )
    assert await purge(db) == []
    assert await count(db) == 1


async def test_an_upload_goes_with_the_last_job_that_reads_it(db, queue, old_job, put):
    """Jobs made from the same upload (again, a merge) share it: the last one takes it along; one on another host does not."""
    film = f"{STORE}/uploads/me/v.mp4"
    await put("uploads/me/v.mp4", "uploads/other/v.mp4")
    await old_job(video_url=f"{film}?x=1")
    await old_job(video_url="https://elsewhere.example/storage/v1/object/public/uploads/other/v.mp4")
    other = await queue.insert(video_url=film)
    assert await purge(db) == [("audios", "a.flac")] * 2
    await db.execute("update public.jobs set status = 'cancelled', finished_at = now() where id = $1", other)
    await old_job("b.flac", video_url=film)
    assert await purge(db) == [("audios", "b.flac")], "a young job reads it still"
    await db.execute("delete from public.jobs")
    await old_job("c.flac", video_url=film)
    assert await purge(db) == [("audios", "c.flac"), ("uploads", "v.mp4")]


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
        job_id = await old_job(f"{i}.flac")
        await db.execute(
            "update public.jobs set finished_at = finished_at - $2 * interval '1 day' where id = $1", job_id, i
        )
    assert [len(await purge(db, 2)), len(await purge(db, 2)), len(await purge(db, 2))] == [2, 1, 0]


async def test_a_job_that_somebody_holds_is_passed_over(db, old_job, dial):
    """Guards `skip locked`: two clean-ups at once share the work instead of waiting for each other."""
    held, _ = await old_job("held.flac"), await old_job("free.flac")
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
    """A merge job that has not ended keeps the track it needs, whose job goes."""
    job_id = await old_job()
    merge = await queue.insert(kind="merge", options={"audio_url": f"{STORE}/audios/{job_id}/a.flac"})
    assert await purge(db) == []
    await db.execute("select queue.cancel($1)", merge)
    assert await deleted(db) == [("audios", "a.flac")]


async def test_unused_uploads_go_after_a_day(db, queue, put):
    """An upload older than a day without a job is discarded; a young one, and one that a job reads under any of its names, are not."""
    await put("uploads/unused.mp4", "uploads/young.mp4", "uploads/read.mp4", "uploads/a film.mp4", "audios/a.flac")
    await db.execute("update storage.objects set created_at = now() where name = 'young.mp4'")
    await queue.insert(video_url=f"{STORE}/uploads/read.mp4?x=1")
    await queue.insert(video_url="https://films.example.com/storage/v1/object/public/uploads/a%20film.mp4")
    assert await db.fetchval("select queue.discard_unused_uploads()") == 4
    assert await db.fetch("select bucket, path from queue.discarded()") == [("uploads", "unused.mp4")]


async def test_uploads_are_walked_in_turns(db, put):
    """Each call looks at the next ones by name and begins anew after the last, so that used ones do not hide the others."""
    await put(*(f"uploads/{i}.mp4" for i in range(5)))
    looked = [await db.fetchval("select queue.discard_unused_uploads(2)") for _ in range(4)]
    assert looked == [2, 2, 1, 2]
    assert len(await db.fetch("select from queue.discarded()")) == 5


async def test_one_worker_at_a_time_tidies_up(db, old_job):
    """Whoever asks first gets the work and the names; the others, and the same again a moment later, get nothing."""
    job_id = await old_job()
    await db.execute("select setval('private.tidied_ms', 1)")
    assert await db.fetch("select * from queue.tidy()") == []
    assert await count(db) == 1, "without an age jobs stay for ever"
    await db.execute("update private.settings set keep_for = '30 days'")
    await db.execute("select setval('private.tidied_ms', 1)")
    assert await db.fetch("select * from queue.tidy()") == [("audios", f"{job_id}/a.flac")]
    assert await db.fetch("select * from queue.tidy()") == []
    await db.execute("select setval('private.tidied_ms', 1)")
    assert await db.fetch("select * from queue.tidy()") == [("audios", f"{job_id}/a.flac")], "Storage has not said so"
    await db.execute("select queue.deleted('audios', $1)", [f"{job_id}/a.flac"])
    assert await db.fetch("select * from queue.discarded()") == []


MANY = """
insert into storage.objects (bucket_id, name, created_at)
select b, gen_random_uuid() || '/' || i || '.flac', now() from unnest(array['audios', 'videos', 'uploads']) b, generate_series(1, 20000) i
"""


async def test_retention_walks_indexes(db, old_job, put):
    """Among 60,000 objects a purge and a walk through uploads read no table from end to end."""
    await put()
    for _ in range(20):
        await old_job()
    await db.execute(MANY)
    await db.execute("analyze storage.objects, public.jobs, public.results")
    counted = (
        "select relname, seq_scan, idx_tup_fetch + seq_tup_read as read from pg_stat_xact_user_tables"
        " where relname in ('objects', 'jobs', 'results')"
    )
    async with db.transaction():
        before = {row["relname"]: row for row in await db.fetch(counted)}
        assert await db.fetchval("select queue.purge('30 days', 20)") == 20
        assert await db.fetchval("select queue.discard_unused_uploads(100)") == 100
        after = {row["relname"]: row for row in await db.fetch(counted)}
    assert after["objects"]["seq_scan"] == before["objects"]["seq_scan"]
    assert after["objects"]["read"] - before["objects"]["read"] <= 20 + 2 * 100
    assert len(await db.fetch("select from queue.discarded()")) == 20
