"""The Realtime protocol, frame by frame: what the real clients do not show."""

from __future__ import annotations

import struct

import pytest

from tests.live.conftest import mint
from tests.live.wire import reply


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "API key is missing"),
        ("nonsense", "The token provided is not a valid JWT"),
        (mint("anon", secret="y" * 40), "Failed to validate JWT signature"),
        (mint("anon", lifetime_s=-60), "Token has expired "),
        (mint(""), "Fields `role` and `exp` are required in JWT"),
    ],
)
async def test_a_bad_key_fails_the_handshake(gateway, http, key, message):
    """The handshake answers 401 with the reason."""
    async with http.get(f"{gateway.url}/realtime/v1/websocket", params={"apikey": key}) as answer:
        assert answer.status == 401
        assert (await answer.json())["error"].startswith(message)


async def test_the_header_wins_over_the_query(gateway, http):
    """x-api-key is looked at first."""
    url = f"{gateway.url}/realtime/v1/websocket?apikey=nonsense"
    async with http.ws_connect(url, headers={"x-api-key": gateway.anon}) as ws:
        assert not ws.closed


async def test_version_1_speaks_objects_with_a_null_ref(dial):
    """Pushes of 1.0.0 carry topic, event, payload and ref, nothing else."""
    wire = await dial("1.0.0")
    joined = await wire.join("room", broadcast={"self": True})
    assert joined == {
        "ref": "1", "event": "phx_reply", "topic": "realtime:room",
        "payload": {"status": "ok", "response": {"postgres_changes": []}},
    }  # fmt: skip
    body = {"type": "broadcast", "event": "e", "payload": {"n": 1}}
    await wire.send("realtime:room", "broadcast", body, ref="2")
    assert await wire.get() == {"ref": None, "event": "broadcast", "topic": "realtime:room", "payload": body}


async def test_heartbeats_are_answered(dial):
    """The phoenix topic answers heartbeats in both forms."""
    for vsn in ("1.0.0", "2.0.0"):
        wire = await dial(vsn)
        await wire.send("phoenix", "heartbeat", {}, ref="26", join_ref=None)
        answer = await wire.get()
        assert answer == (
            reply("phoenix", "ok", {}, ref="26", join_ref=None)
            if vsn == "2.0.0"
            else {"ref": "26", "event": "phx_reply", "topic": "phoenix", "payload": {"status": "ok", "response": {}}}
        )


async def test_topics_nobody_joined(dial):
    """An unjoined or foreign topic is unmatched; leaving it is fine all the same."""
    wire = await dial()
    unmatched = {"reason": "unmatched topic"}
    await wire.send("realtime:none", "broadcast", {})
    assert await wire.get() == reply("realtime:none", "error", unmatched)
    await wire.send("elsewhere", "phx_join", {})
    assert await wire.get() == reply("elsewhere", "error", unmatched)
    await wire.send("realtime:none", "phx_leave", {})
    assert await wire.get() == reply("realtime:none", "ok", {})
    assert (await wire.join(""))[4]["response"]["reason"].startswith("TopicNameRequired")


async def test_joining_again_closes_the_old_channel(dial):
    """A second join closes the first with its join_ref; what still comes for the first is ignored."""
    wire = await dial()
    await wire.join("room", broadcast={"self": True, "ack": True})
    await wire.send("realtime:room", "phx_join", {"config": {"broadcast": {"ack": True}}}, ref="5", join_ref="5")
    assert await wire.get() == ["1", "1", "realtime:room", "phx_close", {}]
    assert await wire.get() == reply("realtime:room", "ok", {"postgres_changes": []}, ref="5", join_ref="5")
    await wire.send("realtime:room", "broadcast", {"event": "stale"}, ref="6", join_ref="1")
    await wire.send("realtime:room", "broadcast", {"event": "fresh"}, ref="7", join_ref="5")
    assert (await wire.get())[:2] == ["5", "7"]


async def test_leaving_answers_and_closes(dial):
    """phx_leave is answered, then the channel closes, and a broadcast no longer comes."""
    wire = await dial()
    await wire.join("room")
    await wire.send("realtime:room", "phx_leave", {}, ref="2")
    assert await wire.get() == reply("realtime:room", "ok", {}, ref="2")
    assert await wire.get() == ["1", "1", "realtime:room", "phx_close", {}]


async def test_binary_broadcasts(dial):
    """A type 3 frame comes out as a type 4 frame, and as JSON for 1.0.0."""
    new, old = await dial("2.0.0"), await dial("1.0.0")
    await new.join("room", broadcast={"self": True, "ack": True})
    await old.join("room")
    texts = [b"1", b"2", b"realtime:room", b"ev", b""]
    await new.ws.send_bytes(bytes([3, *map(len, texts), 1]) + b"".join(texts) + b'{"n":1}')
    message = await new.get()
    assert message.data == struct.pack("5B", 4, 13, 2, 0, 1) + b'realtime:roomev{"n":1}'
    assert await new.get() == reply("realtime:room", "ok", {}, ref="2")
    assert (await old.get())["payload"] == {"event": "ev", "type": "broadcast", "payload": {"n": 1}}


async def test_replay_gives_recent_messages_of_a_private_channel(dial, gateway, database):
    """The newest messages come oldest first, marked as replayed; a public channel has none to give."""
    for n in range(4):
        await database.execute("select realtime.send(jsonb_build_object('n', $1::int), 'e', 'story', true)", n)
    wire = await dial(key=gateway.secret)
    answer = await wire.join("story", private=True, broadcast={"replay": {"since": 0, "limit": 2}})
    assert answer[4]["status"] == "ok"
    replayed = [await wire.get() for _ in range(2)]
    assert [m[4]["payload"]["n"] for m in replayed] == [2, 3]
    assert all(m[0] == "1" and m[4]["meta"]["replayed"] for m in replayed)
    refused = await wire.join("public", broadcast={"replay": {"since": 0, "limit": 2}})
    assert refused[4]["response"]["reason"] == "UnableToReplayMessages: Replay is not allowed for public channels"


async def test_replication_ready_is_announced(dial):
    """A client that asks is told when broadcasts from the database are live."""
    wire = await dial()
    await wire.join("room", broadcast={"replication_ready": True})
    assert (await wire.get())[4] == {
        "extension": "system", "status": "ok", "message": "Replication connection established", "channel": "room",
    }  # fmt: skip


async def test_http_broadcasts(dial, gateway, http):
    """A batch is answered 202 and arrives as text; bad input is 422, no key 401, and a private topic needs the right."""
    wire = await dial()
    await wire.join("room")
    url, headers = f"{gateway.url}/realtime/v1/api/broadcast", {"apikey": gateway.anon}
    message = {"topic": "room", "event": "e", "payload": {"n": 1}}
    async with http.post(url, json={"messages": [message]}, headers=headers) as answer:
        assert (answer.status, await answer.read()) == (202, b"")
    assert await wire.get() == [
        None,
        None,
        "realtime:room",
        "broadcast",
        {"event": "e", "type": "broadcast", "payload": {"n": 1}},
    ]
    async with http.post(url, json={"messages": [{"topic": "room"}]}, headers=headers) as answer:
        assert answer.status == 422
        assert (await answer.json())["errors"]["messages"][0]["payload"] == ["can't be blank"]
    async with http.post(url, json={"messages": []}) as answer:
        assert (answer.status, await answer.json()) == (401, {"message": "Unauthorized"})
    private = {**message, "topic": "secret", "private": True}
    member = await dial(key=gateway.secret)
    await member.join("secret", private=True)
    for key in (gateway.anon, gateway.secret):  # only the second may
        async with http.post(url, json={"messages": [{**private, "event": key}]}, headers={"apikey": key}) as answer:
            assert answer.status == 202
    assert (await member.get())[4]["event"] == gateway.secret
