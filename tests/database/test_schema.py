"""Illegal states cannot be written, and the schema keeps its own house rules."""

import asyncpg
import pytest

JOB = "insert into public.jobs (video_url{names}) values ('https://example.com/a.mp4'{values})"


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("kind = 'remix'", "jobs_kind"),
        ("status = 'waiting'", "jobs_status"),
        ("status = 'processing'", "jobs_processing_has_deadline"),
        ("status = 'processing', deadline_at = now()", "jobs_processing_is_held"),
        ("status = 'completed'", "jobs_ended_has_time"),
        ("status = 'failed', finished_at = now()", "jobs_failed_says_why"),
        ("status = 'completed', finished_at = now(), error = 'x'", "jobs_completed_is_clean"),
        ("finished_at = now()", "jobs_ended_has_time"),
        ("stage = 'composing'", "jobs_stage_is_of_processing"),
        ("deadline_at = now()", "jobs_processing_has_deadline"),
        ("status = 'cancelled', finished_at = now(), run_at = now()", "jobs_only_pending_waits"),
        ("lane = 'fast'", "jobs_lane"),
        ("total_count = 0", "jobs_total_count"),
        ("total_count = 9", "jobs_total_count"),
        ("brief = '{}'", "jobs_brief"),
        ("kind = 'brief', total_count = 0, brief = '[]'", "jobs_brief"),
        ("kind = 'pack', engine = 'sketch'", "jobs_engine"),
        ("user_request = repeat('x', 2001)", "jobs_user_request"),
        ("video_url = ''", "jobs_video_url"),
        ("options = '[]'", "jobs_options"),
        ("attempt = -1", "jobs_attempt"),
        ("max_attempts = 0", "jobs_max_attempts"),
        ("crashes = -1", "jobs_crashes"),
        ("status = 'processing', deadline_at = now(), worker_id = 1", "jobs_processing_was_started"),
        ("idempotency_key = ''", "jobs_idempotency_key"),
    ],
)
async def test_an_illegal_state_of_a_job_is_refused(db, queue, change, constraint):
    """A job cannot be brought into a state that the state machine does not know."""
    job = await queue.insert()
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await db.execute(f"update public.jobs set {change} where id = $1", job)
    assert refusal.value.constraint_name == constraint


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ({"index": 8, "audio_url": "https://s/a"}, "results_index"),
        ({"index": 0, "audio_url": "https://s/a", "video_url": "https://s/b"}, "results_has_media"),
        ({"index": 0, "audio_url": "https://s/a", "pack_url": "https://s/b"}, "results_has_media"),
        ({"index": 0}, "results_has_media"),
        ({"index": 0, "audio_url": "https://s/a", "seed": -1}, "results_seed"),
        ({"index": 0, "audio_url": "https://s/a", "peaks": "A" * 217}, "results_peaks"),
    ],
)
async def test_an_illegal_result_is_refused(db, queue, columns, constraint):
    """A result has one medium, a seed of 32 bits, an index of 0..7 and a waveform of at most 160 bytes."""
    values = {"job_id": await queue.insert(), "attempt": 1} | columns
    places = ", ".join(f"${i}" for i in range(1, 1 + len(values)))
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await db.execute(f"insert into public.results ({', '.join(values)}) values ({places})", *values.values())
    assert refusal.value.constraint_name == constraint


async def test_a_worker_that_holds_a_job_cannot_be_deleted(db, queue):
    """Deleting a worker never leaves a job that nobody holds."""
    await queue.insert()
    worker = await queue.worker()
    await worker.claim()
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await db.execute("delete from public.workers")


async def test_deleting_a_job_takes_its_results_and_webhook_along(db, queue):
    """Results and deliveries do not outlive their job."""
    await queue.insert(options={"callback_url": "https://hook"})
    worker = await queue.worker()
    job = await worker.claim()
    await worker.put(job)
    await worker.finish(job)
    assert await db.fetchval("select count(*) from public.deliveries") == 1
    await db.execute("delete from public.jobs")
    assert await db.fetchval("select count(*) from public.results") == 0
    assert await db.fetchval("select count(*) from public.deliveries") == 0


async def test_every_function_has_a_fixed_search_path_and_a_comment(db):
    """No function of ours resolves names through the caller's search_path."""
    bare = await db.fetch(
        """
        select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
         where n.nspname in ('queue', 'private', 'public')
           and (not coalesce(p.proconfig @> array['search_path=""'], false) or obj_description(p.oid) is null)
        """
    )
    assert bare == []


async def test_every_table_and_sequence_has_a_comment(db):
    """What a relation is for stands in the database; sequences of identity columns speak for themselves."""
    silent = await db.fetch(
        """
        select c.oid::regclass::text from pg_class c
         where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and c.relkind in ('r', 'S')
           and obj_description(c.oid) is null
           and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'i')
        """
    )
    assert silent == []


async def test_every_foreign_key_says_what_a_delete_does_and_has_an_index(db):
    """Deleting a parent is decided and fast: `on delete` is not the default, and the column leads an index."""
    undecided = await db.fetch(
        """
        select k.conname from pg_constraint k
         where k.contype = 'f' and k.connamespace = 'public'::regnamespace
           and (k.confdeltype = 'a'
                or not exists (select from pg_index i where i.indrelid = k.conrelid and i.indkey[0] = k.conkey[1]))
        """
    )
    assert undecided == []


async def test_owners_who_prefer_postgres_changes_get_jobs_and_results_only(db):
    """The Realtime publication holds what owners may read; workers, webhooks and settings are not in it."""
    rows = await db.fetch(
        "select schemaname || '.' || tablename from pg_publication_tables where pubname = 'supabase_realtime' order by 1"
    )
    assert [row[0] for row in rows] == ["public.jobs", "public.results"]
