"""Tokens and rights on channels: taken at the join, refreshed, expired, refused."""

from __future__ import annotations

import time

import pytest

from supabase_standin.realtime.limits import Limits
from tests.standin.conftest import mint


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


class TestSlowPolicies:
    @pytest.fixture
    def limits(self):
        return Limits(statement_s=60)

    async def test_a_slow_policy_holds_up_its_topic_only(self, dial, database, gate):
        """While a join waits for its policy the socket is answered; what follows on the topic keeps its order."""
        await database.execute(f"""
            create policy slow on realtime.messages for select to authenticated
              using (realtime.topic() <> 'slow' or pg_advisory_xact_lock_shared({gate.key}) is not null)
        """)
        await gate.shut()
        wire = await dial(key=mint())
        await wire.send("realtime:slow", "phx_join", {"config": {"private": True}}, ref="1")
        await wire.send("realtime:slow", "presence", {"event": "untrack"}, ref="2")
        await wire.send("realtime:slow", "phx_leave", {}, ref="3")
        await wire.send("phoenix", "heartbeat", {}, ref="4", join_ref=None)
        assert (await wire.get())[1] == "4"
        assert (await wire.join("quick", ref="5", private=True))[1] == "5"
        await gate.open()
        assert [(await wire.get())[1] for _ in range(3)] == ["1", "2", "3"]
        await database.execute("drop policy slow on realtime.messages")

    async def test_a_socket_that_goes_takes_its_waiting_joins_along(self, dial, database, gate):
        """A join that nobody waits for any more is given up, and the gateway goes on."""
        await database.execute(f"""
            create policy slow on realtime.messages for select to authenticated
              using (pg_advisory_xact_lock_shared({gate.key}) is not null)
        """)
        await gate.shut()
        wire = await dial(key=mint())
        await wire.send("realtime:slow", "phx_join", {"config": {"private": True}})
        waiting = "select count(*) from pg_stat_activity where wait_event = 'advisory' and application_name = 'gateway'"
        while not await database.fetchval(waiting):
            pass
        await wire.ws.close()
        while await database.fetchval(waiting):
            pass
        await gate.open()
        assert (await (await dial(key=mint())).join("slow", private=True))[4]["status"] == "ok"
        await database.execute("drop policy slow on realtime.messages")

    async def test_a_socket_is_not_read_on_while_too_much_waits(self, dial, database, gate):
        """Hundreds of messages behind one join are all handled, in order, once it is answered."""
        await database.execute(f"""
            create policy slow on realtime.messages for select to authenticated
              using (pg_advisory_xact_lock_shared({gate.key}) is not null)
        """)
        await gate.shut()
        wire = await dial(key=mint())
        await wire.send("realtime:slow", "phx_join", {"config": {"private": True}}, ref="0", join_ref="0")
        for n in range(1, 300):
            await wire.send("realtime:slow", "phx_leave", {}, ref=str(n), join_ref=None)
        await gate.open()
        answers = [await wire.get() for _ in range(301)]
        assert [a[1] for a in answers if a[3] == "phx_reply"] == [str(n) for n in range(300)]
        await database.execute("drop policy slow on realtime.messages")
