"""The Realtime protocol, frame by frame: what the real clients do not show."""

from __future__ import annotations

import struct

import pytest

from tests.standin.conftest import mint
from tests.standin.wire import reply


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


def binary(event, payload, *, encoding=1, topic="realtime:room"):
    """A type 3 frame of the channel joined with ref 1."""
    texts = [b"1", b"2", topic.encode(), event.encode(), b""]
    return bytes([3, *map(len, texts), encoding]) + b"".join(texts) + payload


async def test_binary_broadcasts(dial):
    """A type 3 frame comes out as a type 4 frame, and as JSON for 1.0.0."""
    new, old = await dial("2.0.0"), await dial("1.0.0")
    await new.join("room", broadcast={"self": True, "ack": True})
    await old.join("room")
    await new.ws.send_bytes(binary("ev", b'{"n":1}'))
    message = await new.get()
    assert message.data == struct.pack("5B", 4, 13, 2, 0, 1) + b'realtime:roomev{"n":1}'
    assert await new.get() == reply("realtime:room", "ok", {}, ref="2")
    assert (await old.get())["payload"] == {"event": "ev", "type": "broadcast", "payload": {"n": 1}}


@pytest.mark.parametrize("encoding", [1, 2, 255])
async def test_a_binary_broadcast_cannot_forge_a_frame(dial, encoding):
    """Whatever its encoding byte says, a payload that is not JSON ends its socket and reaches nobody."""
    forger, honest, victim = await dial(), await dial(), await dial("1.0.0")
    for wire in (forger, honest, victim):
        await wire.join("room")
    forged = b'0},"topic":"realtime:job:1","event":"job","x":{"y":0}'
    await forger.ws.send_bytes(binary("e", forged, encoding=encoding))
    assert (await forger.get()).data == 1003
    await honest.ws.send_bytes(binary("e", b'{"n":1}', encoding=encoding))
    assert (await victim.get())["payload"] == {"event": "e", "type": "broadcast", "payload": {"n": 1}}


@pytest.mark.parametrize("text", [r'"\ud800"', "NaN", "-Infinity", "1e999", "[" * 100_000])
async def test_what_no_receiver_could_read_ends_its_sender(dial, text):
    """Half a surrogate pair, numbers that JSON lacks and bottomless nesting are refused in every kind of frame."""
    for vsn, frame in [
        ("1.0.0", f'{{"topic":"realtime:room","event":"broadcast","payload":{text},"ref":"2"}}'),
        ("2.0.0", f'["1","2","realtime:room","broadcast",{text}]'),
    ]:
        wire = await dial(vsn)
        await wire.ws.send_str(frame)
        assert (await wire.get()).data == 1003
    wire = await dial()
    await wire.ws.send_bytes(binary("e", text.encode()))
    assert (await wire.get()).data == 1003


async def test_a_presence_key_that_cannot_be_written_is_refused(dial):
    """Those who are there go on hearing of those who come."""
    watching, broken, coming = await dial(), await dial(), await dial()
    await watching.join("room", presence={"enabled": True})
    await watching.get()
    await broken.ws.send_str(
        r'["1","1","realtime:room","phx_join",{"config":{"presence":{"enabled":true,"key":"\ud800"}}}]'
    )
    assert (await broken.get()).data == 1003
    await coming.join("room", presence={"enabled": True, "key": "ann"})
    await coming.send("realtime:room", "presence", {"event": "track", "payload": {}}, ref="2")
    assert list((await watching.get())[4]["joins"]) == ["ann"]


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


async def test_bytes_are_replayed_too(dial, gateway, database):
    """A binary message comes as a binary frame, marked as replayed; 1.0.0 cannot carry it and has the others."""
    await database.execute("select realtime.send_binary('ab', 'bytes', 'bytes', true)")
    await database.execute("select realtime.send('{}', 'json', 'bytes', true)")
    replay_ = {"broadcast": {"replay": {"since": 0}}}
    new, old = await dial(key=gateway.secret), await dial("1.0.0", key=gateway.secret)
    await new.join("bytes", private=True, **replay_)
    first, second = (await new.get()).data, await new.get()
    assert first.endswith(b"ab")
    assert b'"replayed":true' in first
    assert second[4]["event"] == "json"
    await old.join("bytes", private=True, **replay_)
    assert (await old.get())["payload"]["event"] == "json"


async def test_a_trigger_broadcasts_its_rows(dial, gateway, database):
    """realtime.broadcast_changes tells a private channel of a changed row, as it is and as it was."""
    await database.execute("""
        create table public.moods (id int primary key, mood text);
        create function public.tell_mood() returns trigger language plpgsql as $$ begin
          perform realtime.broadcast_changes('moods', tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
          return null;
        end $$;
        create trigger tell after insert or update on public.moods for each row execute function public.tell_mood();
    """)
    wire = await dial("1.0.0", key=gateway.secret)
    await wire.join("moods", private=True)
    await database.execute("insert into public.moods values (1, 'calm'); update public.moods set mood = 'wild'")
    heard = [(await wire.get())["payload"] for _ in range(2)]
    assert [(message["event"], message["payload"]["table"]) for message in heard] == [
        ("INSERT", "moods"),
        ("UPDATE", "moods"),
    ]
    assert [message["payload"]["record"]["mood"] for message in heard] == ["calm", "wild"]
    assert heard[1]["payload"]["old_record"] == {"id": 1, "mood": "calm"}
