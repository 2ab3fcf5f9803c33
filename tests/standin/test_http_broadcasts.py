"""Broadcasts that come by a request instead of a socket."""

from __future__ import annotations

import io

import pytest
from yarl import URL


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


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (rb'{"messages":[{"topic":"room","event":"e","payload":"\ud800"}]}', {}),
        (b'{"messages":[{"topic":"room","event":"e","payload":NaN}]}', {}),
        (b'{"messages":[{"topic":"room","event":"e","payload":1e999}]}', {}),
        ('{"messages":[{"topic":"room","event":"e","payload":1}]}'.encode("utf-16"), {}),
        (b"\xff\xfe", {"Content-Type": "application/json; charset=klingon"}),
        (b'{"messages":[{"topic":"room","event":"e","payload":1,"private":"1"}]}', {}),
        (b'{"messages":[{"topic":"room","event":"e","payload":"' + b"x" * 3_000_000 + b'"}]}', {}),
    ],
)  # fmt: skip
async def test_http_broadcasts_that_nobody_could_read_are_refused(dial, gateway, http, body, headers):
    """What is not JSON in UTF-8, is too large, or may have been meant private is 422 in a batch, and nobody hears it."""
    wire = await dial()
    await wire.join("room")
    url = f"{gateway.url}/realtime/v1/api/broadcast"
    async with http.post(url, data=io.BytesIO(body), headers={"apikey": gateway.anon, **headers}) as answer:
        assert answer.status == 422
    async with http.post(f"{url}/room/events/next", json=1, headers={"apikey": gateway.anon}) as answer:
        assert answer.status == 202
    assert b"next" in (await wire.get()).data


@pytest.mark.parametrize("body", [b'"\\ud800"', b"Infinity", '{"n":1}'.encode("utf-16")])
async def test_a_single_http_broadcast_is_json_too(gateway, http, body):
    """The endpoint for one message refuses the same bodies."""
    url, headers = f"{gateway.url}/realtime/v1/api/broadcast/room/events/e", {"apikey": gateway.anon}
    async with http.post(url, data=body, headers={"Content-Type": "application/json", **headers}) as answer:
        assert answer.status == 422


async def test_topics_and_events_of_an_http_broadcast_may_hold_any_character(dial, gateway, http):
    """Braces, spaces and slashes in a path belong to the name."""
    wire = await dial()
    await wire.join("a{b}/c d")
    url = f"{gateway.url}/realtime/v1/api/broadcast/a%7Bb%7D%2Fc%20d/events/%7Be%7D"
    async with http.post(URL(url, encoded=True), json={"n": 1}, headers={"apikey": gateway.anon}) as answer:
        assert answer.status == 202
    assert b'realtime:a{b}/c d{e}{"n": 1}' in (await wire.get()).data


async def test_a_private_batch_may_be_asked_for_in_words(dial, gateway, http):
    """`"private": "true"` is private: a public member of the topic hears nothing of it."""
    public, private = await dial(), await dial(key=gateway.secret)
    await public.join("words")
    await private.join("words", private=True)
    url, headers = f"{gateway.url}/realtime/v1/api/broadcast", {"apikey": gateway.secret}
    for event, wanted in (("secret", "true"), ("open", "false")):
        message = {"topic": "words", "event": event, "payload": {}, "private": wanted}
        async with http.post(url, json={"messages": [message]}, headers=headers) as answer:
            assert answer.status == 202
    assert (await private.get())[4]["event"] == "secret"
    assert (await public.get())[4]["event"] == "open"


async def test_a_policy_that_fails_permits_nothing(gateway, database, http):
    """A message to a private channel whose policy raises is dropped, and the answer does not tell."""
    await database.execute("create policy broken on realtime.messages for insert to anon with check (1 / 0 = 1)")
    message = {"topic": "room", "event": "e", "payload": {}, "private": True}
    url, headers = f"{gateway.url}/realtime/v1/api/broadcast", {"apikey": gateway.anon}
    await database.execute("create policy broken_too on realtime.messages for select to anon using (1 / 0 = 1)")
    try:
        async with http.post(url, json={"messages": [message]}, headers=headers) as answer:
            assert answer.status == 202
    finally:
        await database.execute("drop policy broken on realtime.messages; drop policy broken_too on realtime.messages")
