"""Outages of our own: a restart of the database kills no worker, and Storage that is away burns no attempt."""


async def test_a_restart_of_the_database_gives_workers_a_lease_to_come_back(db, queue):
    """While the database was down nobody could beat: workers seen before are dead only a lease after its start."""
    worker = await queue.worker()
    await queue.submit()
    await worker.claim()
    await db.execute("update public.workers set last_seen = now() - 2 * lease")
    since = "create or replace function private.database_since() returns timestamptz language sql stable set search_path = '' as"
    try:
        await db.execute(f"{since} $$ select now() - interval '1 second' $$")
        assert await db.fetchval("select queue.sweep()") == 0
        await db.execute(f"{since} $$ select now() - interval '2 hours' $$")
        assert await db.fetchval("select queue.sweep()") == 1
    finally:
        await db.execute(f"{since} $$ select timestamptz '-infinity' $$")


async def test_an_outage_of_our_own_burns_no_attempt(db, queue):
    """Failing without burning leaves the same number of tries, up to a bound, and still waits before the next one."""
    await db.execute("update private.settings set max_outages = 30")
    worker = await queue.worker()
    await queue.submit()
    for attempt in range(1, 33):
        job = await worker.claim()
        assert job["attempt"] == attempt
        fail = "select queue.fail($1, $2, $3, 'storage_unavailable', 'Storage is away', true, false)"
        assert await db.fetchval(fail, job["id"], attempt, worker.id) == "ok"
        row = await db.fetchrow("select status, run_at, max_attempts from public.jobs")
        if attempt < 32:
            assert (row["status"], row["run_at"] is not None) == ("pending", True)
        await db.execute("update public.jobs set run_at = null where status = 'pending'")
    assert row["status"] == "failed"
