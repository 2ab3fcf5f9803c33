"""What a client may ask for, and what happens to one that asks for more."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from supabase_standin.realtime.limits import Limits
from tests.standin.wire import reply


@pytest.fixture
def limits():
    return Limits(
        broadcast_bytes=1000, channels_per_socket=2, joins_per_s=4, messages_per_s=20, presence_calls=2,
        sockets=2, pending_bytes=2_000_000, frame_bytes=100_000,
    )  # fmt: skip


async def test_a_large_broadcast_is_not_acknowledged(dial):
    """Above the payload limit the ack is an error and nobody hears it."""
    wire = await dial()
    await wire.join("room", broadcast={"ack": True, "self": True})
    await wire.send("realtime:room", "broadcast", {"event": "e", "payload": "x" * 1000}, ref="2")
    assert await wire.get() == reply("realtime:room", "error", {"error": "payload_size_exceeded"}, ref="2")


async def test_a_larger_frame_ends_the_socket(dial):
    """Above the frame limit the socket is closed with 1009."""
    wire = await dial()
    await wire.send("realtime:room", "phx_join", {"x": "x" * 100_000})
    assert (await wire.get()).data == 1009


async def test_too_many_channels(dial):
    """A socket joins so many channels and no more."""
    wire = await dial()
    await wire.join("a")
    await wire.join("b")
    assert (await wire.join("c"))[4]["response"]["reason"] == "ChannelRateLimitReached: Too many channels"


async def test_too_many_joins(dial):
    """Joining too fast is told and ends the socket."""
    wire = await dial()
    for _ in range(5):
        await wire.send("realtime:", "phx_join", {})
    answers = [await wire.get() for _ in range(6)]
    assert answers[4][4]["response"]["reason"] == "ClientJoinRateLimitReached: Too many joins per second"
    assert answers[5].type is aiohttp.WSMsgType.CLOSE


async def test_too_many_messages(dial):
    """Sending too fast closes the channels."""
    wire = await dial()
    await wire.join("a")
    for _ in range(20):
        await wire.send("realtime:a", "broadcast", {"event": "e"})
    assert (await wire.get())[4]["message"] == "Too many messages per second"
    assert (await wire.get())[3] == "phx_close"


async def test_too_many_presence_calls(dial):
    """Presence has a limit of its own."""
    wire = await dial()
    await wire.join("a")
    for n in range(3):
        await wire.send("realtime:a", "presence", {"event": "track", "payload": {"n": n}})
    heard = []
    while "system" not in heard:
        heard.append((await wire.get())[3])
    assert heard.count("phx_reply") == 2


async def test_too_many_sockets(dial, gateway, http):
    """The handshake answers 429 when the project is full."""
    first, second = await dial(), await dial()
    assert not first.ws.closed
    assert not second.ws.closed
    async with http.get(f"{gateway.url}/realtime/v1/websocket", params={"apikey": gateway.anon}) as answer:
        assert (answer.status, await answer.json()) == (429, {"error": "Too many connected users"})


async def test_a_slow_reader_is_cut_off(gateway, database):
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
