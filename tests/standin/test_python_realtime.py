"""Broadcast, presence and changes with the real Python client."""

from __future__ import annotations

import asyncio

from realtime import RealtimePostgresChangesListenEvent as Listen
from realtime import RealtimeSubscribeStates


async def subscribe(channel):
    """Subscribe and return (state, error) of the first answer."""
    answer = asyncio.get_running_loop().create_future()
    await channel.subscribe(lambda state, error: answer.done() or answer.set_result((state, error)))
    return await asyncio.wait_for(answer, 120)


def collect(channel, event="*"):
    """A queue of the channel's broadcasts."""
    received = asyncio.Queue()
    channel.on_broadcast(event, received.put_nowait)
    return received


async def get(queue):
    return await asyncio.wait_for(queue.get(), 10)


def config(*, private=False, ack=False, echo=False, replay=None, replication_ready=False):
    broadcast = {"ack": ack, "self": echo, "replication_ready": replication_ready}
    if replay is not None:
        broadcast["replay"] = replay
    return {"config": {"broadcast": broadcast, "presence": {"key": "", "enabled": False}, "private": private}}


async def test_a_broadcast_reaches_the_others_and_not_the_sender(connect):
    """Without `self` a broadcast reaches every other member of the channel."""
    ann, ben = await connect(), await connect()
    to, of = ann.channel("room", config()), ben.channel("room", config())
    heard, own = collect(of), collect(to)
    await subscribe(to)
    await subscribe(of)
    await to.send_broadcast("hello", {"n": 1})
    message = await get(heard)
    assert (message["event"], message["payload"]) == ("hello", {"n": 1})
    assert own.empty()


async def test_the_sender_hears_itself_on_demand(connect):
    """With `self` and `ack` a broadcast comes back."""
    client = await connect()
    channel = client.channel("mirror", config(ack=True, echo=True))
    heard = collect(channel)
    await subscribe(channel)
    for n in range(3):
        await channel.send_broadcast("tick", {"n": n})
    assert [(await get(heard))["payload"]["n"] for _ in range(3)] == [0, 1, 2]


async def test_the_database_broadcasts_to_a_private_channel(connect, gateway, database):
    """realtime.send reaches those whom a policy lets read the topic, with the message's id."""
    client = await connect(gateway.secret)
    channel = client.channel("job:1", config(private=True))
    heard = collect(channel)
    assert (await subscribe(channel))[0] == RealtimeSubscribeStates.SUBSCRIBED
    await database.execute("""select realtime.send('{"stage": "composing"}', 'job', 'job:1', true)""")
    message = await get(heard)
    assert message["event"] == "job"
    assert message["payload"]["stage"] == "composing"
    assert message["meta"]["id"]


async def test_a_stranger_is_refused_by_policy(connect):
    """Without a SELECT policy that fits, joining a private channel fails with the reason."""
    client = await connect()
    state, error = await subscribe(client.channel("nobody", config(private=True)))
    assert state == RealtimeSubscribeStates.CHANNEL_ERROR
    assert "Unauthorized: You do not have permissions to read from this Channel topic: nobody" in str(error)


async def test_private_and_public_channels_of_one_name_are_separate(connect, gateway, database):
    """A public member of a topic hears nothing of its private namesake."""
    client, other = await connect(gateway.secret), await connect()
    private, public = client.channel("twin", config(private=True)), other.channel("twin", config())
    secret, open_ = collect(private), collect(public)
    await subscribe(private)
    await subscribe(public)
    await database.execute("""select realtime.send('{"n": 1}', 'e', 'twin', true)""")
    await database.execute("""select realtime.send('{"n": 2}', 'e', 'twin', false)""")
    assert (await get(secret))["payload"]["n"] == 1
    assert (await get(open_))["payload"]["n"] == 2
    assert secret.empty()


async def test_presence_comes_and_goes(connect):
    """A member sees others come, change and go, with their keys."""
    ann, ben = await connect(), await connect()
    events = asyncio.Queue()
    watching = ann.channel("lobby", config())
    watching.on_presence_sync(lambda: None)
    watching.on_presence_join(lambda key, old, new: events.put_nowait(("join", key, new[0]["mood"])))
    watching.on_presence_leave(lambda key, old, gone: events.put_nowait(("leave", key, gone[0]["mood"])))
    await subscribe(watching)
    visiting = ben.channel(
        "lobby", {"config": {"broadcast": None, "presence": {"key": "ben", "enabled": True}, "private": False}}
    )
    await subscribe(visiting)
    await visiting.track({"mood": "calm"})
    assert await get(events) == ("join", "ben", "calm")
    await visiting.track({"mood": "wild"})
    assert await get(events) == ("join", "ben", "wild")
    assert await get(events) == ("leave", "ben", "calm")
    await ben.close()
    assert await get(events) == ("leave", "ben", "wild")


async def test_changes_arrive_in_commit_order(connect, gateway, database):
    """INSERT, UPDATE and DELETE of a table that was published a moment ago arrive with typed values."""
    await database.execute(
        "create table public.songs (id int primary key, name text, tags text[], score numeric, meta jsonb)"
    )
    await database.execute("alter publication supabase_realtime add table public.songs")
    client = await connect(gateway.secret)
    changes, live = asyncio.Queue(), asyncio.Event()
    channel = client.channel("songs", config())
    channel.on_postgres_changes(Listen.All, changes.put_nowait, table="songs", schema="public")
    channel.on_system(lambda message: live.set())
    assert (await subscribe(channel))[0] == RealtimeSubscribeStates.SUBSCRIBED
    await asyncio.wait_for(live.wait(), 10)
    await database.execute("""insert into public.songs values (1, 'dawn', '{a,"b c"}', 1.50, '{"k": [1]}')""")
    await database.execute("update public.songs set name = 'dusk'")
    await database.execute("delete from public.songs")
    inserted, updated, deleted = [(await get(changes))["data"] for _ in range(3)]
    assert inserted["type"] == "INSERT"
    assert inserted["record"] == {"id": 1, "name": "dawn", "tags": ["a", "b c"], "score": 1.5, "meta": {"k": [1]}}
    assert {c["name"]: c["type"] for c in inserted["columns"]}["tags"] == "_text"
    assert (updated["record"]["name"], updated["old_record"]) == ("dusk", {"id": 1})
    assert (deleted["type"], deleted["old_record"]) == ("DELETE", {"id": 1})


async def test_http_send_reaches_the_members(connect):
    """The client's http_send needs no membership; bytes do not reach clients of 1.0.0, JSON does."""
    ann, ben = await connect(), await connect()
    channel = ann.channel("by post", config())
    heard = collect(channel)
    await subscribe(channel)
    await ben.channel("by post", config()).http_send("bytes", b"12")
    await ben.channel("by post", config()).http_send("json", {"n": 1})
    message = await get(heard)
    assert (message["event"], message["payload"]) == ("json", {"n": 1})


async def test_a_lost_connection_comes_back(connect):
    """After the socket is closed the client connects and joins again, and the channel goes on."""
    client = await connect()
    channel = client.channel("phoenix nest", config(echo=True))
    heard, states = collect(channel), asyncio.Queue()
    await channel.subscribe(lambda state, error: states.put_nowait(state))
    assert await get(states) == RealtimeSubscribeStates.SUBSCRIBED
    await client._ws_connection.close()
    while await get(states) != RealtimeSubscribeStates.SUBSCRIBED:
        pass
    await channel.send_broadcast("again", {})
    assert (await get(heard))["event"] == "again"
