"""The Realtime protocol, frame by frame: what the real clients do not show."""

from __future__ import annotations

import asyncio
import json
import struct
import time

import aiohttp
import pytest

from rhythmai.local.realtime.limits import Limits
from tests.live.conftest import mint


def reply(topic, status, response, *, ref="1", join_ref="1"):
    return [join_ref, ref, topic, "phx_reply", {"status": status, "response": response}]


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


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (mint(lifetime_s=-5), "InvalidJWTToken: Token has expired"),
        (mint(secret="z" * 40), "JwtSignatureError: Failed to validate JWT signature"),
        ("not a token", "MalformedJWT: The token provided is not a valid JWT"),
    ],
)
async def test_a_bad_token_fails_the_join(dial, token, reason):
    """The join is refused with Realtime's code and message."""
    answer = await (await dial()).join("room", token=token)
    assert answer[4]["status"] == "error"
    assert answer[4]["response"]["reason"].startswith(reason)


async def test_an_opaque_key_as_token_means_the_connection(dial):
    """`sb_...` in a join is not a token: the connection's key counts."""
    answer = await (await dial()).join("room", token="sb_publishable_whatever")
    assert answer[4]["status"] == "ok"


async def test_a_channel_ends_with_its_token(dial):
    """At its expiry the channel is told, and closed."""
    wire = await dial()
    await wire.join("room", token=mint(lifetime_s=0.3))
    system = await wire.get()
    assert system[3] == "system"
    assert system[4] == {
        "extension": "system", "status": "error", "message": "Token has expired 0 seconds ago", "channel": "room",
    }  # fmt: skip
    assert (await wire.get())[3] == "phx_close"


async def test_a_refreshed_token_keeps_the_channel(dial):
    """access_token replaces the token: the channel lives as long as the new one, `sb_...` changes nothing."""
    wire, until = await dial(), time.time() + 0.8
    await wire.join("room", token=mint(lifetime_s=0.2))
    await wire.send("realtime:room", "access_token", {"access_token": mint(lifetime_s=until - time.time())}, ref="2")
    await wire.send("realtime:room", "access_token", {"access_token": "sb_ignored"}, ref="3")
    assert (await wire.get())[4]["message"].startswith("Token has expired")
    assert time.time() >= until


async def test_a_broken_token_ends_the_channel(dial):
    """access_token with something that is no token is told, and closes the channel."""
    wire = await dial()
    await wire.join("room")
    await wire.send("realtime:room", "access_token", {"access_token": "broken"}, ref="5")
    assert (await wire.get())[4]["message"] == "The token provided is not a valid JWT"
    assert (await wire.get())[3] == "phx_close"


async def test_a_token_that_may_no_longer_read_ends_the_channel(dial, database):
    """A refresh asks the policies again."""
    await database.execute(
        """create policy "only ann" on realtime.messages for select to authenticated using ((select auth.jwt()) ->> 'who' = 'ann')"""
    )
    wire = await dial()
    assert (await wire.join("diary", token=mint(who="ann"), private=True))[4]["status"] == "ok"
    await wire.send("realtime:diary", "access_token", {"access_token": mint(who="ben")}, ref="2")
    assert (await wire.get())[4]["message"] == "You no longer have permission to read from this Channel topic: diary"
    await database.execute("""drop policy "only ann" on realtime.messages""")


async def test_writing_without_permission_is_silent(dial, database):
    """Who may read but not write gets no answer, even with ack, and nobody hears it."""
    await database.execute("""create policy "all read" on realtime.messages for select to authenticated using (true)""")
    reader, listener = await dial(), await dial()
    await reader.join("stage", token=mint(), private=True, broadcast={"ack": True, "self": True})
    await listener.join("stage", token=mint(), private=True)
    await reader.send("realtime:stage", "broadcast", {"event": "forged"}, ref="2")
    await reader.send("phoenix", "heartbeat", {}, ref="3", join_ref=None)
    assert (await reader.get())[1] == "3"
    await database.execute("""select realtime.send('{}', 'true', 'stage', true)""")
    message = (await listener.get()).data
    assert b"forged" not in message
    await database.execute("""drop policy "all read" on realtime.messages""")


async def test_a_token_cannot_name_a_role_of_the_server(dial, gateway, http):
    """Only roles that the authenticator may take count: a token that names a superuser may nothing."""
    token = mint("postgres")
    refused = await (await dial(key=token)).join("room", private=True)
    assert refused[4]["response"]["reason"].startswith("Unauthorized: ")
    async with http.get(f"{gateway.url}/storage/v1/bucket", headers={"Authorization": f"Bearer {token}"}) as answer:
        assert (await answer.json())["statusCode"] == "403"


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


class TestLimits:
    """With tight limits."""

    @pytest.fixture
    def limits(self):
        return Limits(
            broadcast_bytes=1000, channels_per_socket=2, joins_per_s=4, messages_per_s=20, presence_calls=2,
            sockets=2, pending_bytes=2_000_000, frame_bytes=100_000,
        )  # fmt: skip

    async def test_a_large_broadcast_is_not_acknowledged(self, dial):
        """Above the payload limit the ack is an error and nobody hears it."""
        wire = await dial()
        await wire.join("room", broadcast={"ack": True, "self": True})
        await wire.send("realtime:room", "broadcast", {"event": "e", "payload": "x" * 1000}, ref="2")
        assert await wire.get() == reply("realtime:room", "error", {"error": "payload_size_exceeded"}, ref="2")

    async def test_a_larger_frame_ends_the_socket(self, dial):
        """Above the frame limit the socket is closed with 1009."""
        wire = await dial()
        await wire.send("realtime:room", "phx_join", {"x": "x" * 100_000})
        assert (await wire.get()).data == 1009

    async def test_too_many_channels(self, dial):
        """A socket joins so many channels and no more."""
        wire = await dial()
        await wire.join("a")
        await wire.join("b")
        assert (await wire.join("c"))[4]["response"]["reason"] == "ChannelRateLimitReached: Too many channels"

    async def test_too_many_joins(self, dial):
        """Joining too fast is told and ends the socket."""
        wire = await dial()
        for _ in range(5):
            await wire.send("realtime:", "phx_join", {})
        answers = [await wire.get() for _ in range(6)]
        assert answers[4][4]["response"]["reason"] == "ClientJoinRateLimitReached: Too many joins per second"
        assert answers[5].type is aiohttp.WSMsgType.CLOSE

    async def test_too_many_messages(self, dial):
        """Sending too fast closes the channels."""
        wire = await dial()
        await wire.join("a")
        for _ in range(20):
            await wire.send("realtime:a", "broadcast", {"event": "e"})
        assert (await wire.get())[4]["message"] == "Too many messages per second"
        assert (await wire.get())[3] == "phx_close"

    async def test_too_many_presence_calls(self, dial):
        """Presence has a limit of its own."""
        wire = await dial()
        await wire.join("a")
        for n in range(3):
            await wire.send("realtime:a", "presence", {"event": "track", "payload": {"n": n}})
        assert [(await wire.get())[3] for _ in range(3)] == ["phx_reply", "phx_reply", "system"]

    async def test_too_many_sockets(self, dial, gateway, http):
        """The handshake answers 429 when the project is full."""
        first, second = await dial(), await dial()
        assert not first.ws.closed
        assert not second.ws.closed
        async with http.get(f"{gateway.url}/realtime/v1/websocket", params={"apikey": gateway.anon}) as answer:
            assert (answer.status, await answer.json()) == (429, {"error": "Too many connected users"})

    async def test_a_slow_reader_is_cut_off(self, gateway, database):
        """A client that does not read is disconnected once too much waits for it; the others go on."""
        port = int(gateway.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(
            f"GET /realtime/v1/websocket?apikey={gateway.anon} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"topic": "realtime:flood", "event": "phx_join", "payload": {}, "ref": "1"}).encode()
        writer.write(bytes([0x81, 0x80 | len(body), 0, 0, 0, 0]) + body)
        await reader.readuntil(b"phx_reply")
        while True:
            try:
                async with aiohttp.ClientSession() as session:
                    url = f"{gateway.url}/realtime/v1/api/broadcast/flood/events/e"
                    for _ in range(20):
                        async with session.post(url, json="x" * 900, headers={"apikey": gateway.anon}) as answer:
                            assert answer.status == 202
                await database.execute(
                    "select realtime.send(jsonb_build_object('x', repeat('x', 900000)), 'e', 'flood', false)"
                )
                writer.write(bytes([0x89, 0x80, 0, 0, 0, 0]))
                await writer.drain()
            except ConnectionError:
                break
        writer.close()
