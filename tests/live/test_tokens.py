"""Tokens and rights on channels: taken at the join, refreshed, expired, refused."""

from __future__ import annotations

import time

import pytest

from tests.live.conftest import mint


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
