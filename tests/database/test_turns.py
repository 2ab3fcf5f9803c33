"""Fairness: whose job is next."""

from collections import Counter

import pytest

from tests.conftest import fixture
from tests.database.desk import connect


@fixture
async def settled(db):
    """No claim looks into the batch lane first, so that orders are certain."""
    await db.execute("update private.settings set batch_first_share = 0")


async def order(worker) -> list:
    jobs = []
    while job := await worker.claim():
        jobs.append(job)
    return jobs


async def backfill(db, tenant: str, count: int, lane: str = "batch", kind: str = "generate") -> None:
    options = '{"audio_url": "https://a"}' if kind == "merge" else "{}"
    await db.execute(
        "insert into public.jobs (video_url, tenant, lane, kind, options) "
        f"select 'https://v', $1, $2, $3, '{options}' from generate_series(1, $4::int)",
        tenant,
        lane,
        kind,
        count,
    )


async def test_interactive_work_comes_before_batch(queue, settled):
    """A person who waits is served before any backfill, however old that is."""
    await queue.insert(lane="batch")
    await queue.insert(lane="interactive")
    worker = await queue.worker()
    assert [job["lane"] for job in await order(worker)] == ["interactive", "batch"]


async def test_a_merge_that_somebody_waits_for_comes_before_a_batch_job(queue, settled):
    """Lanes come before kinds."""
    await queue.insert(lane="batch")
    await queue.insert(lane="interactive", kind="merge", options={"audio_url": "https://a"})
    worker = await queue.worker()
    assert [job["kind"] for job in await order(worker)] == ["merge", "generate"]


async def test_the_batch_lane_is_not_starved(db, queue):
    """With batch_first_share 1 the batch lane comes first: at 0.1 it moves even under endless interactive work."""
    await db.execute("update private.settings set batch_first_share = 1")
    await queue.insert(lane="interactive")
    await queue.insert(lane="batch")
    worker = await queue.worker()
    assert (await worker.claim())["lane"] == "batch"


@pytest.mark.parametrize("kind", ["generate", "merge"])
async def test_tenants_interleave_whatever_their_backlog(db, queue, kind):
    """A thousand jobs of one tenant do not delay the three of another: they alternate."""
    await backfill(db, "whale", 1000, kind=kind)
    worker = await queue.worker()
    for _ in range(10):
        await worker.claim()
    await backfill(db, "minnow", 3, kind=kind)
    tenants = [(await worker.claim())["tenant"] for _ in range(7)]
    assert Counter(tenants)["minnow"] == 3
    assert tenants.count("whale") == 4


@pytest.mark.parametrize("tenant", ["i / 10", "i % 3", "0"], ids=["one after the other", "by turns", "one alone"])
@pytest.mark.parametrize(
    "lane", ["'batch'", "case i % 2 when 0 then 'batch' else 'interactive' end"], ids=["one", "both"]
)
async def test_a_backfill_takes_one_round_a_job(db, tenant, lane):
    """Whatever the order of the rows, the jobs of a tenant get successive rounds of their lane, also in the next statement and after a rollback."""
    insert = f"insert into public.jobs (video_url, tenant, lane) select 'https://v', {tenant}, {lane} from generate_series(0, 29) i"
    await db.execute(
        "select setval(format('private.served_generate_%s', l), 0) from unnest('{batch,interactive}'::text[]) l"
    )
    async with db.transaction():
        await db.execute(insert)
        undone = db.transaction()
        await undone.start()
        await db.execute(insert)
        await undone.rollback()
        await db.execute(insert)
    await db.execute(insert)
    rounds = await db.fetch(
        "select array_agg(turn >> 32 order by seq) as given, count(*) from public.jobs group by tenant, lane"
    )
    for row in rounds:
        assert row["given"] == list(range(row["count"]))


async def test_a_tenant_whose_jobs_are_gone_begins_anew(db):
    """The last turn is remembered within a transaction only: after a backfill was deleted its tenant is not sent behind it."""
    await db.execute("select setval('private.served_generate_batch', 0)")
    await backfill(db, "a", 5)
    await db.execute("delete from public.jobs")
    await backfill(db, "a", 1)
    assert await db.fetchval("select turn >> 32 from public.jobs") == 0


async def test_a_newcomer_waits_for_one_round_only(db, queue):
    """With many tenants at work, a new tenant's first job comes within the current round."""
    for tenant in "abcdefgh":
        await backfill(db, tenant, 50)
    worker = await queue.worker()
    for _ in range(20):
        await worker.claim()
    await backfill(db, "newcomer", 1)
    assert "newcomer" in [(await worker.claim())["tenant"] for _ in range(8)]


async def test_a_tenant_that_was_away_has_no_credit(db, queue):
    """Turns start at the round that is served now: a tenant cannot save turns up by staying away."""
    await backfill(db, "old", 100)
    worker = await queue.worker()
    for _ in range(50):
        await worker.claim()
    await backfill(db, "new", 50)
    tenants = [(await worker.claim())["tenant"] for _ in range(20)]
    assert 9 <= Counter(tenants)["new"] <= 11


async def test_a_tenant_s_own_jobs_keep_their_order(db, queue):
    """Within a tenant, older jobs come first."""
    ids = [await queue.insert() for _ in range(5)]
    worker = await queue.worker()
    assert [job["id"] for job in await order(worker)] == [str(job_id) for job_id in ids]


async def test_priority_goes_before_fairness_within_a_lane(queue):
    """An operator's priority jumps the queue of its lane, and a negative one waits for all others."""
    low = await queue.insert(priority=-1)
    plain = [await queue.insert() for _ in range(2)]
    high = await queue.insert(priority=5)
    highest = await queue.insert(priority=9)
    worker = await queue.worker()
    assert [job["id"] for job in await order(worker)] == [str(job_id) for job_id in (highest, high, *plain, low)]


async def test_a_job_that_was_handed_back_is_next_again(queue):
    """Its turn is older than the turn served last: the sweep finds it before its successors are served for a second."""
    first = await queue.insert()
    await queue.insert()
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.claim()
    await worker.release(job)
    await queue.sweep()
    assert (await worker.claim())["id"] == str(first)


async def test_a_job_committed_late_is_not_lost(queue, dial):
    """A job whose turn lies before the turn served last, because its transaction took long, is found when nothing else is."""
    other = await dial()
    slow = other.transaction()
    await slow.start()
    late = await other.fetchval("insert into public.jobs (video_url) values ('https://late') returning id")
    for _ in range(5):
        await queue.insert()
    worker = await queue.worker()
    for _ in range(4):
        await worker.claim()
    await slow.commit()
    assert str(late) in [job["id"] for job in await order(worker)]


@pytest.mark.parametrize("wrong", [0, 2**62])
async def test_a_wrong_hint_costs_no_job(db, queue, wrong):
    """The turn served last is a hint: too low or far too high, every job is claimed all the same."""
    jobs = {str(await queue.insert()) for _ in range(3)}
    await db.execute("select setval('private.served_generate_batch', $1)", wrong)
    worker = await queue.worker()
    assert {job["id"] for job in await order(worker)} == jobs


async def test_the_position_counts_who_is_in_front(db, queue):
    """queue_position is 1 for the next job of a lane and null for one that does not wait."""
    jobs = [await queue.insert() for _ in range(3)]
    await queue.insert(priority=1)
    positions = [await db.fetchval("select queue.answer($1) -> 'queue_position'", job) for job in jobs]
    assert positions == [2, 3, 4]
    worker = await queue.worker()
    job = await worker.claim()
    assert await db.fetchval("select queue.answer($1) ->> 'queue_position'", job["id"]) is None


@pytest.mark.parametrize("how", ["paused", "committed late"])
async def test_missed_turns_are_no_claim_on_all_the_next_ones(db, database_url, queue, settled, how):
    """A tenant whose jobs were paused, or whose insert committed late, takes turns with the others instead of catching up first."""
    late = await connect(database_url)
    inserting = late.transaction()
    if how == "committed late":
        await inserting.start()
    await backfill(late, "late", 30)
    if how == "paused":
        await db.execute("update public.jobs set run_at = 'infinity'")
    await backfill(db, "steady", 100)
    worker = await queue.worker()
    for _ in range(40):
        assert (await worker.claim())["tenant"] == "steady"
    if how == "paused":
        await db.execute("update public.jobs set run_at = null where tenant = 'late'")
    else:
        await inserting.commit()
    await queue.sweep()
    tenants = Counter([(await worker.claim())["tenant"] for _ in range(20)])
    assert abs(tenants["late"] - tenants["steady"]) <= 2
    await late.close()


async def test_a_job_that_came_back_keeps_its_turn(db, queue, settled):
    """What was handed back has waited already: it is not drawn anew."""
    await backfill(db, "whale", 20)
    worker = await queue.worker()
    first = await worker.claim()
    for _ in range(10):
        await worker.claim()
    await worker.release(first)
    await queue.sweep()
    assert (await worker.claim())["id"] == first["id"]
