"""Who sees and does what: as a visitor, two users and the service role."""

import asyncpg
import pytest

from tests.conftest import fixture
from tests.database.roles import ALICE, ALICES, BOB, BOBS, SERVICE, VISITOR, WORKER, may_join

DENIED = asyncpg.InsufficientPrivilegeError
SEND_WAKE = (
    "insert into realtime.messages (topic, extension, event, private) values ('jobs', 'broadcast', 'wake', true)"
)
INSERT = "insert into public.jobs (video_url) values ('https://example.com/a.mp4') returning id"


async def denied(db, who, statement):
    """A right is missing, whatever the rows are."""
    try:
        async with who.acts(db):
            await db.execute(statement)
    except DENIED:
        return
    pytest.fail(f"{who.name} may {statement}")


@fixture
async def jobs(queue):
    """A job of each owner with one result, by name."""
    made = {}
    for name, owner in (("alice", ALICE), ("bob", BOB), ("nobody", None)):
        made[name] = await queue.insert(owner=owner)
        worker = await queue.worker()
        await worker.put(await worker.claim())
    return made


@pytest.mark.parametrize(("who", "sees"), [(ALICES, ["alice"]), (BOBS, ["bob"]), (SERVICE, ["alice", "bob", "nobody"])])
async def test_everybody_sees_their_own(db, jobs, who, sees):
    """A signed-in user selects their own jobs and results and nobody else's; the service role selects all."""
    async with who.acts(db):
        seen = {row["id"] for row in await db.fetch("select id, owner from public.jobs")}
        results = {row["job_id"] for row in await db.fetch("select job_id from public.results")}
    assert seen == results == {jobs[name] for name in sees}


async def test_a_visitor_lists_nothing(db, jobs):
    """Without signing in no table can be read: the id of an ownerless job is the only way to it."""
    for table in ("public.jobs", "public.results", "public.workers", "public.deliveries", "private.settings"):
        await denied(db, VISITOR, f"select * from {table}")


HIDDEN = {
    "jobs": ("tenant", "traceparent", "request_hash", "idempotency_key", "worker_id", "turn", "plan"),
    "results": ("attempt", "master_url", "latents_url"),
}


async def test_users_see_the_contract_s_columns(db, jobs):
    """What the REST contract does not tell of a job, its own user does not read either; everything it tells they do."""
    told = await db.fetchval("select queue.answer($1)", jobs["alice"])
    computed = {
        "job_id", "completed_count", "results", "queue_position", "metadata", "expires_at", "directions", "hits", "segments", "progress",
        "eta_s", "waiting_for", "best",
    }  # fmt: skip
    async with ALICES.acts(db):
        await db.fetch(f"select id, {', '.join(sorted(told.keys() - computed))} from public.jobs")
        await db.fetch(f"select job_id, {', '.join(told['results'][0])} from public.results")
    for table, columns in HIDDEN.items():
        for column in columns:
            await denied(db, ALICES, f"select {column} from public.{table}")


async def test_users_do_not_see_the_machinery(db):
    """Workers, webhooks and settings are not for users."""
    for table in ("public.workers", "public.deliveries", "private.settings"):
        await denied(db, ALICES, f"select * from {table}")


async def test_a_user_inserts_a_job_of_their_own(db, queue):
    """Three columns are all a user may write: the job is theirs, interactive, generate and pending."""
    async with ALICES.acts(db):
        job = await db.fetchval(
            "insert into public.jobs (video_url, user_request, options) values ('https://v', 'calm', $1) returning id",
            {"variants": 2, "callback_url": "https://hook"},
        )
    row = await queue.job(job)
    assert (str(row["owner"]), row["tenant"], row["lane"], row["kind"]) == (ALICE, ALICE, "interactive", "generate")
    assert (row["status"], row["priority"], row["total_count"]) == ("pending", 0, 2)


async def test_no_other_column_can_be_set(db):
    """Lane, priority, status, owner and all the rest are refused by name of the column, whatever the value."""
    for column in (
        "lane", "priority", "status", "owner", "tenant", "kind", "turn", "attempt", "max_attempts", "plan", "total_count",
        "idempotency_key", "run_at", "id", "created_at", "traceparent",
    ):  # fmt: skip
        await denied(db, ALICES, f"insert into public.jobs (video_url, {column}) values ('https://v', default)")


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ("'https://v', '', '{\"variants\": 99}'", asyncpg.InvalidParameterValueError),
        ("'https://v', '', '{\"audio_url\": \"https://a\"}'", asyncpg.InvalidParameterValueError),
        ("'https://v', '', '[]'", asyncpg.InvalidParameterValueError),
        ("'file:///etc/passwd', '', '{}'", asyncpg.InvalidParameterValueError),
        ("'javascript:alert(1)', '', '{}'", asyncpg.InvalidParameterValueError),
        ("'https://v', repeat('x', 2001), '{}'", asyncpg.CheckViolationError),
        ("'https://' || repeat('x', 2048), '', '{}'", asyncpg.InvalidParameterValueError),
        ("'https://v', '', null", asyncpg.NotNullViolationError),
        ("null, '', '{}'", asyncpg.NotNullViolationError),
    ],
)
async def test_a_user_s_insert_is_checked(db, values, error):
    """Bad options, other schemes, too long texts and nulls are refused for direct inserts as they are by the API."""
    with pytest.raises(error):
        async with ALICES.acts(db):
            await db.execute(f"insert into public.jobs (video_url, user_request, options) values ({values})")


async def test_the_flood_guard_holds_for_direct_inserts(db):
    """Fifty pending jobs, then RY429, in one statement too; other users are not touched."""
    many = "insert into public.jobs (video_url) select 'https://v' from generate_series(1, $1)"
    with pytest.raises(asyncpg.PostgresError) as refusal:
        async with ALICES.acts(db):
            await db.execute(many, 51)
    assert refusal.value.sqlstate == "RY429"
    async with ALICES.acts(db):
        await db.execute(many, 50)
    with pytest.raises(asyncpg.PostgresError, match="50 jobs of yours wait already"):
        async with ALICES.acts(db):
            await db.execute(INSERT)
    async with BOBS.acts(db):
        await db.execute(INSERT)


async def test_a_visitor_inserts_nothing(db):
    """Visitors come through the API, which knows their address."""
    with pytest.raises(DENIED):
        async with VISITOR.acts(db):
            await db.execute(INSERT)


FORBIDDEN = (
    "update public.jobs set user_request = 'x'",
    "delete from public.jobs",
    "truncate public.jobs",
    "update public.results set title = 'x'",
    "delete from public.results",
    "insert into public.results (job_id, index, attempt, audio_url) select id, 0, 1, 'https://a' from public.jobs",
    "insert into public.workers (name, kinds) values ('mine', '{generate}')",
    "insert into public.deliveries (job_id, url) select id, 'https://a' from public.jobs",
    "update private.settings set pending_per_owner = 1000000",
    SEND_WAKE,
    "select setval('private.swept_ms', 1)",
    "select nextval('public.jobs_seq_seq')",
)


@pytest.mark.parametrize("who", [VISITOR, ALICES], ids=["visitor", "user"])
async def test_nobody_writes_around_the_rules(db, jobs, who):
    """Users change nothing but by inserting a job, and forge no event, no result and no worker."""
    for statement in FORBIDDEN:
        await denied(db, who, statement)


@pytest.mark.parametrize("who", [VISITOR, ALICES], ids=["visitor", "user"])
async def test_nobody_but_the_service_calls_the_queue(db, who):
    """Every function of the queue is refused to visitors and users; of private, all but may_watch and what an insert asks of a row."""
    functions = await db.fetch(
        """
        select p.oid::regprocedure::text as name, has_function_privilege($1, p.oid, 'execute')
               and has_schema_privilege($1, p.pronamespace, 'usage') as may
          from pg_proc p where p.pronamespace in ('queue'::regnamespace, 'private'::regnamespace)
        """,
        who.role,
    )
    assert len(functions) > 25
    of_a_row = (
        {"private.job_is_sound(jobs)", "private.object_of(text)", "private.new_traceparent()"}
        if who is ALICES
        else set()
    )
    assert {row["name"] for row in functions if row["may"]} == {"private.may_watch(text)"} | of_a_row


async def test_the_service_role_runs_the_whole_queue(db, queue):
    """The secret key is enough for doors and workers: submit, claim, write, end, deliver, purge."""
    async with SERVICE.acts(db):
        job = await queue.submit(p_client="203.0.113.7", p_options={"callback_url": "https://hook"})
        worker = await queue.worker()
        held = await worker.claim()
        assert await worker.plan(held, {"variants": []})
        assert await worker.put(held) == "ok"
        assert await worker.finish(held) == "ok"
        assert (await db.fetchval("select queue.claim_delivery($1)", worker.id))["job_id"] == str(job)
        assert await db.fetchval("select queue.drain('box')") == 1
        await db.fetch("select * from queue.purge('1 day')")
        await db.fetch("select * from queue.workers()")
        await db.execute("update private.settings set pending_per_client = 11")


@pytest.mark.parametrize(
    ("who", "joins"),
    [(VISITOR, {"nobody"}), (ALICES, {"nobody", "alice"}), (BOBS, {"nobody", "bob"})],
    ids=["visitor", "alice", "bob"],
)
async def test_a_topic_is_watched_by_whom_it_concerns(db, jobs, who, joins):
    """A visitor joins the ownerless job whose id it knows; a user also their own; nobody another's."""
    assert {name for name, job in jobs.items() if await may_join(db, who, f"job:{job}")} == joins


async def test_no_other_topic_can_be_joined(db, jobs):
    """The workers' topic, unknown ids and anything that only looks like a job's topic are refused, without an error."""
    for topic in (
        "jobs", "job:", "job:%", "job:00000000-0000-4000-8000-000000000000", "job:not-a-uuid", "results", "", "JOB:{id}", "job:{id}x",
        "job:{id}\n",
    ):  # fmt: skip
        for who, whose in ((VISITOR, "nobody"), (ALICES, "alice")):
            assert not await may_join(db, who, topic.format(id=jobs[whose])), (who.name, topic)


async def test_only_broadcasts_may_be_read(db, jobs):
    """The policy opens broadcast; presence stays closed."""
    transaction = db.transaction()
    await transaction.start()
    topic = f"job:{jobs['nobody']}"
    await db.execute("insert into realtime.messages (topic, extension, private) values ($1, 'presence', true)", topic)
    async with VISITOR.acts(db):
        await db.execute("select set_config('realtime.topic', $1, true)", topic)
        assert await db.fetchval("select count(*) from realtime.messages where extension = 'presence'") == 0
    await transaction.rollback()


async def test_a_worker_s_key_is_for_our_buckets_and_the_topic_of_wake_ups(db, jobs):
    """It joins `jobs` and an echo of its own, and beside that what every visitor joins; it keeps our buckets, and no other."""
    transaction = db.transaction()
    await transaction.start()
    await db.execute("insert into storage.buckets (id, name) values ('theirs', 'theirs')")
    assert [await may_join(db, WORKER, topic) for topic in ("jobs", "echo:1f", f"job:{jobs['nobody']}")] == [True] * 3
    assert [await may_join(db, WORKER, topic) for topic in ("echo", f"job:{jobs['alice']}", "theirs")] == [False] * 3
    for bucket in ("uploads", "videos", "audios"):
        async with WORKER.acts(db):
            await db.execute("insert into storage.objects (bucket_id, name) values ($1, 'x')", bucket)
        async with WORKER.acts(db):
            assert await db.execute("update storage.objects set name = 'y' where bucket_id = $1", bucket) == "UPDATE 0"
            await db.execute("set local storage.allow_delete_query = 'true'")
            assert await db.execute("delete from storage.objects where bucket_id = $1", bucket) == "DELETE 1"
    with pytest.raises(DENIED, match="row-level security"):
        async with WORKER.acts(db):
            await db.execute("insert into storage.objects (bucket_id, name) values ('theirs', 'x')")
    for statement in ("select id from public.jobs", "select queue.claim(1, '1 minute')", SEND_WAKE):
        with pytest.raises(DENIED):
            async with WORKER.acts(db):
                await db.execute(statement)
    await transaction.rollback()


@pytest.mark.parametrize("who", [VISITOR, ALICES], ids=["visitor", "user"])
async def test_buckets_cannot_be_listed_or_written(db, who):
    """Objects are read by their unguessable public address; the table of objects shows nothing and takes nothing."""
    transaction = db.transaction()
    await transaction.start()
    await db.execute("insert into storage.objects (bucket_id, name) values ('audios', 'a.flac')")
    async with who.acts(db):
        assert await db.fetch("select * from storage.objects") == []
    with pytest.raises(DENIED, match="row-level security"):
        async with who.acts(db):
            await db.execute("insert into storage.objects (bucket_id, name) values ('uploads', 'x.mp4')")
    await transaction.rollback()
