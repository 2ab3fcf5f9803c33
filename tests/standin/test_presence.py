"""Presence, frame by frame: who is told what, and what is left of a member that went, came again, or may not."""

from __future__ import annotations

import pytest

from tests.standin.conftest import mint
from tests.standin.wire import reply

TRACK = {"type": "presence", "event": "track", "payload": {"mood": "calm"}}


async def enter(wire, key, *, ref="1"):
    """Join with presence; return the state."""
    assert (await wire.join("lobby", ref=ref, presence={"enabled": True, "key": key}))[4]["status"] == "ok"
    state = await wire.get()
    assert state[3] == "presence_state"
    return state[4]


async def track(wire, *, ref="2", join_ref="1"):
    await wire.send("realtime:lobby", "presence", TRACK, ref=ref, join_ref=join_ref)


async def test_tracking_turns_presence_on(dial):
    """Who joined without presence and tracks hears who is here, and from then on who comes and goes."""
    ann, ben = await dial(), await dial()
    await enter(ann, "ann")
    await track(ann)
    await ben.join("lobby", presence={"enabled": False, "key": "ben"})
    await track(ben)
    state, diff, answer = [await ben.get() for _ in range(3)]
    assert (state[3], list(state[4])) == ("presence_state", ["ann"])
    assert (diff[3], list(diff[4]["joins"])) == ("presence_diff", ["ben"])
    assert answer == reply("realtime:lobby", "ok", {}, ref="2")
    await ann.ws.close()
    assert list((await ben.get())[4]["leaves"]) == ["ann"]


@pytest.mark.parametrize("payload", ["calm", ["calm"], None, 1])
async def test_what_is_tracked_is_a_map(dial, payload):
    """Anything else is answered with an error, and nobody is told."""
    wire = await dial()
    await enter(wire, "ann")
    await wire.send("realtime:lobby", "presence", {**TRACK, "payload": payload}, ref="2")
    assert await wire.get() == reply("realtime:lobby", "error", {}, ref="2")


async def test_tracking_without_permission_is_an_error(dial, database):
    """Who may read a private channel but not write presence is told so."""
    await database.execute("create policy reading on realtime.messages for select to authenticated using (true)")
    wire = await dial(key=mint())
    await wire.join("lobby", private=True, presence={"enabled": True, "key": "ann"})
    assert (await wire.get())[4] == {}
    await track(wire)
    assert await wire.get() == reply("realtime:lobby", "error", {}, ref="2")
    await database.execute("drop policy reading on realtime.messages")


async def test_joining_again_leaves_nothing_behind(dial):
    """A second join of the same socket takes away what the first tracked; tracked anew it is there once."""
    ann, ben = await dial(), await dial()
    await enter(ben, "ben")
    await enter(ann, "ann")
    await track(ann)
    first = (await ben.get())[4]["joins"]["ann"]["metas"]
    assert [await ann.get() for _ in range(2)][1][4]["status"] == "ok"
    await ann.send(
        "realtime:lobby", "phx_join", {"config": {"presence": {"enabled": True, "key": "ann"}}}, ref="5", join_ref="5"
    )
    assert (await ben.get())[4] == {"joins": {}, "leaves": {"ann": {"metas": first}}}
    closed, joined, state = [await ann.get() for _ in range(3)]
    assert (closed[3], joined[1], state[4]) == ("phx_close", "5", {})
    await track(ann, ref="6", join_ref="5")
    assert list((await ben.get())[4]["joins"]) == ["ann"]
    assert len((await enter(await dial(), "eve"))["ann"]["metas"]) == 1


async def test_coming_back_on_another_socket(dial):
    """When a connection is lost the others hear it go; the new one finds them, and is found once."""
    ann, ben = await dial(), await dial()
    await enter(ben, "ben")
    await track(ben)
    await enter(ann, "ann")
    await track(ann)
    assert [list((m := await ben.get())[4].get("joins", m[4])) for _ in range(3)][-1] == ["ann"]
    ann.ws._response.connection.transport.abort()
    assert list((await ben.get())[4]["leaves"]) == ["ann"]
    again = await dial()
    assert list(await enter(again, "ann")) == ["ben"]
    await track(again)
    assert list((await ben.get())[4]["joins"]) == ["ann"]
    state = await enter(await dial(), "eve")
    assert {key: len(entry["metas"]) for key, entry in state.items()} == {"ann": 1, "ben": 1}
