"""An engine per job: who may take it, whose turn it is among engines, and what is told while nobody can."""

from __future__ import annotations

import json
from collections import Counter
from itertools import product
from uuid import UUID

import asyncpg
import pytest

from bench.queue_plans import STATEMENTS, explain
from tests.conftest import fixture
from tests.database.test_turns import backfill

FOREIGN = "insert into public.jobs (video_url, tenant, engine) select 'https://v', 't' || i % 100, 'acestep' from generate_series(1, $1::int) i"


@fixture
async def settled(db):
    """No claim looks elsewhere than whose turn it is, so that orders are certain."""
    await db.execute("update private.settings set batch_first_share = 0")


@pytest.mark.parametrize("door", ["option", "column"])
async def test_a_job_goes_to_a_worker_that_has_its_engine(queue, door):
    """Whichever way it was asked for; a worker without it finds nothing."""
    job = await queue.insert(**({"options": {"engine": "acestep"}} if door == "option" else {"engine": "acestep"}))
    row = await queue.job(job)
    assert (row["engine"], row["options"]) == ("acestep", {})
    assert await (await queue.worker(engines=("sketch", "mmaudio"))).claim() is None
    claimed = await (await queue.worker(engines=("mmaudio", "acestep"))).claim()
    assert (claimed["id"], claimed["engine"]) == (str(job), "acestep")


@pytest.mark.parametrize("options", [{}, {"engine": "auto"}, {"engine": None}])
async def test_auto_goes_to_any_worker(queue, options):
    """Left open, by any word for it, a job is anybody's."""
    await queue.insert(options=options)
    assert (await (await queue.worker(engines=("mmaudio",))).claim())["engine"] == ""


async def test_an_unknown_engine_is_refused_by_name(queue):
    """The door says which there are; a merge has none."""
    with pytest.raises(
        asyncpg.InvalidParameterValueError, match=r"options.engine must be one of .*acestep.*, not \"lyria\""
    ):
        await queue.insert(options={"engine": "lyria"})
    with pytest.raises(asyncpg.CheckViolationError, match="jobs_engine"):
        await queue.insert(engine="lyria")
    with pytest.raises(asyncpg.InvalidParameterValueError, match="unknown field engine"):
        await queue.insert(kind="merge", options={"audio_url": "https://a", "engine": "sketch"})
    with pytest.raises(asyncpg.CheckViolationError, match="jobs_engine"):
        await queue.insert(kind="merge", options={"audio_url": "https://a"}, engine="sketch")


async def test_priorities_hold_across_engines(queue, settled):
    """Within a lane the highest priority is next, whichever engine it wants, and a negative one waits for all others."""
    low = await queue.insert(priority=-1, engine="sketch")
    lower = await queue.insert(priority=-2)
    plain = [await queue.insert(engine=engine) for engine in ("sketch", "", "mmaudio")]
    high = await queue.insert(priority=5, engine="mmaudio")
    highest = await queue.insert(priority=9)
    worker = await queue.worker(engines=("sketch", "mmaudio"))
    order = [UUID((await worker.claim())["id"]) for _ in range(7)]
    assert order == [highest, high, *plain, low, lower]


async def test_tenants_interleave_across_engines(db, queue, settled):
    """A thousand jobs of one tenant, whoever may make them, do not delay those of another that name an engine."""
    await backfill(db, "whale", 1000)
    worker = await queue.worker(engines=("sketch", "mmaudio"))
    for _ in range(10):
        await worker.claim()
    for engine in ("sketch", "mmaudio", "sketch"):
        await queue.insert(tenant="minnow", engine=engine)
    tenants = [(await worker.claim())["tenant"] for _ in range(7)]
    assert Counter(tenants)["minnow"] == 3


async def test_an_engine_that_was_rarely_asked_for_has_no_credit(db, queue, settled):
    """The round is that of the workers which have it: whoever asks for it late takes turns, and does not catch up first."""
    await backfill(db, "old", 200)
    worker = await queue.worker(engines=("sketch",))
    for _ in range(100):
        await worker.claim()
    for _ in range(50):
        await queue.insert(tenant="new", engine="sketch")
    tenants = [(await worker.claim())["tenant"] for _ in range(20)]
    assert 9 <= Counter(tenants)["new"] <= 11


async def test_other_workers_rounds_are_none_of_an_engine(db, queue, settled):
    """Two kinds of workers, one fast, one slow: a newcomer at the slow one waits for one round of that one only."""
    fast, slow = await queue.worker(engines=("sketch",)), await queue.worker(engines=("mmaudio",))
    await backfill(db, "a", 100)
    for _ in range(100):
        await fast.claim()
    for _ in range(20):
        await queue.insert(tenant="a", engine="mmaudio")
    for _ in range(5):
        await slow.claim()
    await queue.insert(tenant="newcomer", engine="mmaudio")
    assert "newcomer" in [(await slow.claim())["tenant"] for _ in range(2)]


async def test_no_engine_starves_another(db, queue):
    """Where fast workers have driven the rounds of auto far ahead and are gone, those who stay look at it now and then all the same."""
    await db.execute("update private.settings set batch_first_share = 0.5")
    fast, slow = await queue.worker(engines=("sketch",)), await queue.worker(engines=("mmaudio",))
    for _ in range(100):
        await queue.insert(tenant="a", engine="mmaudio")
    await backfill(db, "a", 100)
    for _ in range(90):
        await fast.claim()
    assert "" in [(await slow.claim())["engine"] for _ in range(60)]


@pytest.mark.parametrize("priority", [-1, 0, 1])
async def test_a_claim_locks_no_job_that_it_leaves(queue, dial, settled, priority):
    """While one worker takes an acestep job, another finds the auto job that the first has looked at, too."""
    own = await queue.insert(engine="acestep", priority=priority)
    auto = await queue.insert(priority=priority)
    one, other = await queue.worker(engines=("acestep",)), await queue.worker(engines=("sketch",))
    elsewhere = await dial()
    async with queue.db.transaction():
        assert (await one.claim())["id"] == str(own)
        assert (await elsewhere.fetchval("select queue.claim($1, '1 hour')", other.id))["id"] == str(auto)


async def test_a_sweep_leaves_jobs_alone_that_nobody_can_make(db, queue):
    """However often it runs and however long nobody has their engine: they wait, with their turns, and then are made."""
    foreign = [await queue.insert(engine="acestep") for _ in range(3)]
    before = [await queue.job(job) for job in foreign]
    worker = await queue.worker(engines=("sketch",))
    for _ in range(10):
        await queue.insert()
        await queue.sweep()
        await worker.finish(await worker.claim())
    assert await worker.claim() is None
    await queue.sweep()
    assert [await queue.job(job) for job in foreign] == before
    assert UUID((await (await queue.worker(engines=("acestep",))).claim())["id"]) in foreign


async def test_a_job_that_came_back_waits_for_its_engine(queue):
    """Its worker died, and was the only one: the job is pending, not failed, until another has the engine."""
    job = await queue.insert(engine="acestep")
    lonely = await queue.worker(engines=("acestep",))
    await lonely.claim()
    await lonely.crash()
    await queue.sweep()
    assert await (await queue.worker(engines=("sketch",))).claim() is None
    assert (await queue.job(job))["status"] == "pending"
    assert (await (await queue.worker(engines=("acestep",))).claim())["id"] == str(job)


async def test_a_job_says_that_it_waits_for_an_engine(db, queue):
    """While it is queued and no living worker has it; a lost, draining or gone one counts as none, one that loads as one."""

    async def told(job: UUID) -> tuple[str, str | None]:
        answer = await db.fetchval("select queue.answer($1)", job)
        return answer["engine"], answer["waiting_for"]

    foreign, auto = await queue.insert(engine="acestep"), await queue.insert()
    await queue.worker(engines=("sketch",))
    assert (await told(foreign), await told(auto)) == (("acestep", "engine"), ("auto", None))
    loading = await db.fetchval("select queue.register('box', '{generate}', '{acestep}', '1', '1 hour')")
    assert await told(foreign) == ("acestep", None)
    for gone in ("draining = true", "state = 'lost'", "last_seen = now() - 2 * lease", "state = 'gone'"):
        await db.execute(f"update public.workers set {gone} where id = $1", loading)
        assert await told(foreign) == ("acestep", "engine"), gone
        await db.execute(
            "update public.workers set draining = false, state = 'ready', last_seen = now() where id = $1", loading
        )
    await (await queue.worker(engines=("acestep",))).claim()
    assert await told(foreign) == ("acestep", None)


async def test_another_take_keeps_the_engine_unless_it_is_told_otherwise(db, queue):
    """`again` of an acestep job is one; with another engine it is that one's, and with auto anybody's."""
    first = await queue.submit(p_options={"engine": "acestep"})
    again = "select queue.again($1, p_engine => $2)"
    takes = [await db.fetchval(again, first, engine) for engine in (None, "sketch", "auto")]
    assert [(await queue.job(take))["engine"] for take in takes] == ["acestep", "sketch", ""]
    merge = await queue.submit("merge", p_options={"audio_url": "https://a"})
    with pytest.raises(asyncpg.InvalidParameterValueError, match="neither seed, variants, engine nor parts"):
        await db.fetchval(again, merge, "sketch")


async def test_only_interactive_work_of_our_engines_asks_for_room(db, queue):
    """A batch job does not make room for what its worker cannot make."""
    worker = await queue.worker(engines=("sketch",))
    ask = "select queue.interactive_waiting($1)"
    await queue.submit(p_options={"engine": "acestep"})
    assert not await db.fetchval(ask, worker.id)
    for options in ({}, {"engine": "sketch"}):
        job = await queue.submit(p_options=options)
        assert await db.fetchval(ask, worker.id)
        await db.execute("delete from public.jobs where id = $1", job)


async def test_a_wake_up_names_the_engine(db, queue):
    """Once for each engine of a statement, so that workers without it sleep on; so does a job that comes back."""
    sent = "select payload from realtime.messages where topic = 'jobs' order by inserted_at, payload ->> 'engine'"
    await db.execute(
        "insert into public.jobs (video_url, engine) select 'https://v', unnest('{sketch,sketch,acestep,\"\"}'::text[])"
    )
    assert [row["payload"]["engine"] for row in await db.fetch(sent)] == ["", "acestep", "sketch"]
    worker = await queue.worker(engines=("acestep",))
    await db.execute("delete from public.jobs where engine <> 'acestep'")
    await db.execute("delete from realtime.messages")
    await worker.release(await worker.claim())
    assert [row["payload"]["engine"] for row in await db.fetch(sent)] == ["acestep"]


async def test_the_position_is_that_among_the_jobs_of_an_engine(db, queue):
    """Jobs that a worker of it takes first are in front: its own, and those of any engine; not those of others."""
    await db.execute(FOREIGN, 10)
    jobs = [await queue.insert(engine=engine) for engine in ("", "sketch", "", "sketch")]
    told = [await db.fetchval("select queue.answer($1) -> 'queue_position'", job) for job in jobs]
    assert told == [1, 2, 2, 4]


async def test_what_waits_is_told_by_engine(db, queue):
    """For gauges: what was asked for while it waits, who makes it while it runs; each has a head."""
    await queue.insert(engine="acestep")
    await queue.insert()
    worker = await queue.worker(engines=("mmaudio", "sketch"))
    job = await worker.claim()
    await worker.write("set_stage", job, "fetching", "mmaudio small_16k")
    told = await db.fetchval("select queue.gauges()")
    assert {(row["state"], row["engine"]) for row in told["jobs"] if row["count"]} == {
        ("ready", "acestep"),
        ("running", "mmaudio small_16k"),
    }
    assert [(head["engine"], head["lane"]) for head in told["heads"]] == [("acestep", "batch")]


async def test_a_job_is_timed_by_what_makes_it(db, queue):
    """How long stages take is known by engine and model, also where one worker has several."""
    worker = await queue.worker(engines=("mmaudio", "sketch"))
    for engine, took_s in (("mmaudio a", 40), ("sketch", 4)):
        await queue.insert()
        job = await worker.claim()
        await worker.write("set_stage", job, "composing", engine)
        await db.execute(
            "update public.jobs set stage_at = stage_at - $2 * interval '1 s' where id = $1::uuid",
            UUID(job["id"]),
            took_s,
        )
        await worker.put(job)
        await worker.finish(job)
    await queue.insert()
    job = await worker.claim()
    await worker.write("set_stage", job, "fetching", "sketch")
    assert 4 <= (await queue.job(job))["expected_s"]["composing"] < 10


async def test_a_claim_walks_past_no_job_of_an_engine_that_it_lacks(db):
    """Behind thousands of them the job that is ours is the first that the index yields: no row is looked at in vain."""
    await db.execute(FOREIGN, 5_000)
    await db.execute("insert into public.jobs (video_url, engine) values ('https://v', 'sketch'), ('https://v', '')")
    await db.execute("vacuum analyze public.jobs")
    names = ("walk, priority above 0", "walk", "walk, priority below 0")
    for name, mode in product(names, ("force_generic_plan", "force_custom_plan")):
        said = await explain(db, name, mode=mode, options="analyze, buffers, costs off, timing off, format json")
        reads, removed = 0, 0
        todo = [json.loads(said)[0]["Plan"]]
        while todo:
            node = todo.pop()
            removed += node.get("Rows Removed by Filter", 0)
            if node["Node Type"].startswith(("Index", "Seq")):
                assert node["Index Name"] == "jobs_ready", said
                reads += node["Shared Hit Blocks"] + node["Shared Read Blocks"]
                assert node["Actual Rows"] <= 1, said
            todo += node.get("Plans", [])
        assert (removed, reads < 40) == (0, True), said
        assert STATEMENTS[name][0] == "next_ready"


async def test_claims_read_little_whatever_waits_for_others(db, queue):
    """Counted: claims beside thousands of jobs of an engine that is not ours read a few rows each, and so does one that finds nothing."""
    await db.execute(FOREIGN, 5_000)
    await db.execute("vacuum analyze public.jobs")
    worker = await queue.worker(engines=("sketch", "mmaudio"))
    for engine in ("", "sketch", "mmaudio") * 5:
        await queue.insert(engine=engine)
    counted = "select seq_scan, idx_tup_fetch from pg_stat_xact_user_tables where relid = 'public.jobs'::regclass"
    async with db.transaction():
        before = await db.fetchrow(counted)
        for _ in range(15):
            assert await worker.claim()
        assert await worker.claim() is None
        scans, fetched = (now - then for now, then in zip(await db.fetchrow(counted), before, strict=True))
    assert (scans, fetched < 16 * 12) == (0, True), fetched
