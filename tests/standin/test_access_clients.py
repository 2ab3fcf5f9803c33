"""Who watches what, through the real Python client with the tokens of a visitor and two users."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from realtime import RealtimePostgresChangesListenEvent as Listen
from realtime import RealtimeSubscribeStates

from tests.database.desk import EMPTY, Queue
from tests.database.desk import connect as desk
from tests.database.roles import ALICE, BOB
from tests.standin.conftest import mint
from tests.standin.test_python_realtime import collect, config, get, subscribe

COPY_OF = "template"
TOKENS = {"visitor": None, "alice": mint(sub=ALICE), "bob": mint(sub=BOB)}


@pytest.fixture
async def queue(database_url):
    connection = await desk(database_url)
    await connection.execute(EMPTY)
    yield Queue(connection)
    await connection.close()


@pytest.fixture
async def jobs(queue):
    """The job of each owner, an ownerless one, and an id that no job has."""
    made = {name: await queue.insert(owner=owner) for name, owner in (("alice", ALICE), ("bob", BOB), ("nobody", None))}
    return {**made, "unknown": uuid.uuid4()}


@pytest.fixture
def enter(connect):
    """Connect as one of TOKENS."""

    async def as_somebody(name):
        client = await connect()
        if TOKENS[name]:
            await client.set_auth(TOKENS[name])
        return client

    return as_somebody


@pytest.mark.parametrize(
    ("who", "watches"),
    [("visitor", {"nobody"}), ("alice", {"nobody", "alice"}), ("bob", {"nobody", "bob"})],
)
async def test_a_job_is_joined_by_whom_it_concerns(enter, queue, jobs, who, watches):
    """The ownerless job whose id one knows and one's own are joined and heard; another's, an unknown id and the workers' topic are refused."""
    client = await enter(who)
    heard, joined = {}, set()
    for name, topic in {**{name: f"job:{job}" for name, job in jobs.items()}, "wake-ups": "jobs"}.items():
        channel = client.channel(topic, config(private=True))
        heard[name] = collect(channel, "job")
        state, error = await subscribe(channel)
        if state == RealtimeSubscribeStates.SUBSCRIBED:
            joined.add(name)
        else:
            assert "You do not have permissions to read from this Channel topic" in str(error)
    assert joined == watches
    worker = await queue.worker()
    while held := await worker.claim():
        await worker.finish(held)
    for name in joined:
        assert (await get(heard[name]))["payload"]["status"] == "processing"
    assert all(heard[name].empty() for name in heard.keys() - joined)


async def test_tables_tell_users_of_their_own_rows_only(enter, queue):
    """Two users listen to jobs and results: each hears of the own job, its way and its result, and of nobody else's."""
    heard, live = {}, {}
    for name in ("alice", "bob"):
        client = await enter(name)
        heard[name], live[name] = asyncio.Queue(), asyncio.Event()
        channel = client.channel("mine", config())
        for table in ("jobs", "results"):
            channel.on_postgres_changes(Listen.Insert, heard[name].put_nowait, table=table, schema="public")
        channel.on_system(lambda message, name=name: live[name].set())
        assert (await subscribe(channel))[0] == RealtimeSubscribeStates.SUBSCRIBED
        await asyncio.wait_for(live[name].wait(), 10)
    made = {name: await queue.insert(owner=owner) for name, owner in (("nobody", None), ("alice", ALICE), ("bob", BOB))}
    worker = await queue.worker()
    while held := await worker.claim():
        await worker.put(held)
    for name in ("alice", "bob"):
        job, result = [(await get(heard[name]))["data"] for _ in range(2)]
        assert (job["table"], job["record"]["id"]) == ("jobs", str(made[name]))
        assert (result["table"], result["record"]["job_id"]) == ("results", str(made[name]))
    # What comes last in the log comes last: by then everything before it was told.
    for name, owner in (("alice", ALICE), ("bob", BOB)):
        last = await queue.insert(owner=owner)
        assert (await get(heard[name]))["data"]["record"]["id"] == str(last)


async def test_tables_tell_a_visitor_nothing(enter, queue, jobs):
    """Without signing in nothing is heard of jobs at all."""
    client = await enter("visitor")
    heard, live = asyncio.Queue(), asyncio.Event()
    channel = client.channel("all", config())
    channel.on_postgres_changes(Listen.All, heard.put_nowait, table="jobs", schema="public")
    channel.on_system(lambda message: live.set())
    await subscribe(channel)
    await asyncio.wait_for(live.wait(), 10)
    marker = await enter("alice")
    own, ready = asyncio.Queue(), asyncio.Event()
    mine = marker.channel("mine", config())
    mine.on_postgres_changes(Listen.All, own.put_nowait, table="jobs", schema="public")
    mine.on_system(lambda message: ready.set())
    await subscribe(mine)
    await asyncio.wait_for(ready.wait(), 10)
    await queue.insert(owner=None)
    await queue.insert(owner=ALICE)
    await get(own)
    await client.channel("end", config(echo=True)).subscribe()
    assert heard.empty()
