"""postgres_changes: what is announced, to whom, and in which shape."""

from __future__ import annotations

import pytest

from supabase_standin.realtime.limits import Limits
from tests.standin.conftest import mint

ANN, BEN = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


@pytest.fixture(autouse=True)
async def tables(database):
    await database.execute("""
        drop table if exists public.songs, public.plain;
        create table public.songs (
          id int primary key, owner uuid, title text, bpm numeric, tags text[], made timestamptz, secret text default 's'
        );
        alter table public.songs enable row level security;
        create policy "own songs" on public.songs for select to authenticated using (owner = (select auth.uid()));
        create table public.plain (id int primary key, title text);
        drop publication supabase_realtime;
        create publication supabase_realtime for table public.songs, public.plain;
    """)


async def listen(dial, *bindings, key=None, token=None, vsn="2.0.0", topic="feed"):
    """Join with the bindings and wait until they are live; return the socket and the bindings' ids."""
    wire = await dial(vsn, key=key)
    answer = await wire.join(topic, token=token, postgres_changes=list(bindings))
    ids = [binding["id"] for binding in answer[4]["response"]["postgres_changes"]]
    system = (await wire.get())[4]
    assert system == {
        "message": "Subscribed to PostgreSQL",
        "status": "ok",
        "extension": "postgres_changes",
        "channel": topic,
    }
    return wire, ids


SONGS = {"event": "*", "schema": "public", "table": "songs"}


async def test_a_user_hears_of_own_rows_only(dial, database):
    """With row security a subscriber is told of the rows it may select, and of no others."""
    ann, _ = await listen(dial, SONGS, token=mint(sub=ANN))
    ben, _ = await listen(dial, SONGS, token=mint(sub=BEN))
    await database.execute("insert into public.songs (id, owner, title) values (1, $1, 'ann')", ANN)
    await database.execute("insert into public.songs (id, owner, title) values (2, $1, 'ben')", BEN)
    assert (await ann.get())[4]["data"]["record"]["title"] == "ann"
    assert (await ben.get())[4]["data"]["record"]["title"] == "ben"
    await database.execute("update public.songs set title = 'both'")
    assert (await ann.get())[4]["data"]["record"]["id"] == 1
    assert (await ben.get())[4]["data"]["record"]["id"] == 2


async def test_a_stranger_does_not_disturb_the_others(dial, gateway, database):
    """A subscriber whose role does not exist is told nothing of a row, and everybody else is told all the same."""
    await listen(dial, SONGS, token=mint("nobody"))
    wire, _ = await listen(dial, SONGS, key=gateway.secret)
    await database.execute("insert into public.songs (id) values (5)")
    assert (await wire.get())[4]["data"]["record"]["id"] == 5


async def test_the_payload_is_as_documented(dial, gateway, database):
    """Columns with types, values as to_jsonb gives them, ids of the bindings, the commit's time."""
    wire, ids = await listen(dial, SONGS, {**SONGS, "event": "INSERT"}, key=gateway.secret)
    await database.execute(
        "insert into public.songs values (7, $1, 'dawn', 1.50, '{a,\"b,c\"}', '2026-01-02 03:04:05.6+00')", ANN
    )
    join_ref, ref, topic, event, payload = await wire.get()
    assert (join_ref, ref, topic, event) == (None, None, "realtime:feed", "postgres_changes")
    assert sorted(payload["ids"]) == sorted(ids)
    assert payload["data"].pop("commit_timestamp").endswith("Z")
    assert payload["data"] == {
        "schema": "public", "table": "songs", "type": "INSERT", "errors": None,
        "columns": [
            {"name": "id", "type": "int4"}, {"name": "owner", "type": "uuid"}, {"name": "title", "type": "text"},
            {"name": "bpm", "type": "numeric"}, {"name": "tags", "type": "_text"}, {"name": "made", "type": "timestamptz"},
            {"name": "secret", "type": "text"},
        ],
        "record": {
            "id": 7, "owner": ANN, "title": "dawn", "bpm": 1.5, "tags": ["a", "b,c"],
            "made": "2026-01-02T03:04:05.6+00:00", "secret": "s",
        },
    }  # fmt: skip


async def test_columns_that_may_not_be_read_are_left_out(dial, database):
    """Column grants hold, and without a grant on the key nothing but an error comes."""
    await database.execute("revoke select on public.plain from anon; grant select (id) on public.plain to anon")
    wire, _ = await listen(dial, {**SONGS, "table": "plain"})
    await database.execute("insert into public.plain values (1, 'hidden')")
    assert (await wire.get())[4]["data"]["record"] == {"id": 1}
    await database.execute("revoke select (id) on public.plain from anon")
    await database.execute("insert into public.plain values (2, 'hidden')")
    data = (await wire.get())[4]["data"]
    assert (data["record"], data["errors"]) == ({}, ["Error 401: Unauthorized"])


async def test_a_delete_tells_only_the_key(dial, database):
    """With row security old rows are told by their key, to everybody who listens to the table."""
    await database.execute("alter table public.songs replica identity full")
    wire, _ = await listen(dial, {**SONGS, "event": "DELETE"}, token=mint(sub=BEN))
    await database.execute("insert into public.songs (id, owner) values (3, $1)", ANN)
    await database.execute("delete from public.songs")
    data = (await wire.get())[4]["data"]
    assert (data["type"], data["old_record"]) == ("DELETE", {"id": 3})
    assert "record" not in data


async def test_without_row_security_the_whole_old_row_is_told(dial, gateway, database):
    """Replica identity full shows what an update replaced."""
    await database.execute("alter table public.plain replica identity full; insert into public.plain values (1, 'old')")
    wire, _ = await listen(dial, {**SONGS, "table": "plain"}, key=gateway.secret)
    await database.execute("update public.plain set title = 'new'")
    data = (await wire.get())[4]["data"]
    assert (data["record"], data["old_record"]) == ({"id": 1, "title": "new"}, {"id": 1, "title": "old"})


@pytest.mark.parametrize(
    ("filter", "passing"),
    [
        ("id=eq.10", {10}), ("id=neq.10", {2, 33}), ("id=gt.9", {10, 33}), ("id=gte.10", {10, 33}), ("id=lt.10", {2}),
        ("id=lte.10", {2, 10}), ('title=in.(two,"a, b")', {2, 33}), ("bpm=eq.1.0", {10}), ("id=gt.2,title=gt.b", {10}),
        ("title=eq.a, b", {33}), ('title=eq."a, b"', {33}), ('title=neq."a,id=eq.2",id=gt.9', {10, 33}), (r'title=eq."t\wo"', {2}),
    ],
)  # fmt: skip
async def test_filters_compare_in_the_columns_type(dial, gateway, database, filter, passing):
    """Every operator, alone or joined by commas."""
    wire, _ = await listen(dial, {**SONGS, "filter": filter}, key=gateway.secret)
    await database.execute("""
        insert into public.songs (id, title, bpm, tags)
        values (2, 'two', null, null), (10, 'ten', 1, null), (33, 'a, b', 2, '{x}'), (99, null, 1, '{}')
    """)
    await database.execute("delete from public.songs where id = 99")
    await wire.send("phoenix", "heartbeat", {}, ref="beat", join_ref=None)
    heard = set()
    marker, _ = await listen(dial, {**SONGS, "event": "DELETE"}, key=gateway.secret, topic="marker")
    await database.execute("delete from public.songs where id = 33")
    await marker.get()  # by now everything before has been announced
    await wire.send("phoenix", "heartbeat", {}, ref="end", join_ref=None)
    while (message := await wire.get())[1] != "end":
        if message[3] == "postgres_changes" and message[4]["data"]["type"] == "INSERT":
            heard.add(message[4]["data"]["record"]["id"])
    assert heard - {99} == passing


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ({"table": "nowhere"}, "Please check Realtime is enabled for the given connect parameters: [event: *, schema: public, table: nowhere"),
        ({"filter": "id=eq.abc"}, 'invalid input syntax for type integer: "abc"'),
        ({"filter": "title=match.("}, "invalid filter 'title=match.(': write column=operator.value"),
        ({"filter": "title=eq.a,title=like.b"}, "invalid filter 'title=eq.a,title=like.b'"),
        ({"filter": "title=eq." + "x" * 10_000}, "a filter of 10009 characters: at most 10000"),
        ({"filter": "nothing=eq.1"}, "invalid column for filter nothing"),
        ({"filter": "id=like"}, "invalid filter 'id=like'"),
    ],
)  # fmt: skip
async def test_a_subscription_that_cannot_be_made_says_why(dial, gateway, binding, message):
    """The join succeeds, the system message is an error, the channel stays open."""
    wire = await dial(key=gateway.secret)
    answer = await wire.join("feed", postgres_changes=[{**SONGS, **binding}])
    assert answer[4]["status"] == "ok"
    system = (await wire.get())[4]
    assert (system["status"], system["extension"]) == ("error", "postgres_changes")
    assert message in system["message"]


async def test_a_client_that_waits_is_refused_the_join(dial, gateway):
    """With postgres_changes_options.wait the join itself fails."""
    wire = await dial(key=gateway.secret)
    answer = await wire.join(
        "feed", postgres_changes=[{**SONGS, "table": "nowhere"}], postgres_changes_options={"wait": True}
    )
    assert answer[4]["response"]["reason"].startswith("RealtimeDisabledForConfiguration: ")


async def test_the_bindings_are_echoed_with_stable_ids(dial, gateway):
    """The reply repeats each binding in order, nulls dropped; the same parameters give the same number."""
    bindings = [SONGS, {**SONGS, "event": "INSERT", "filter": "id=eq.1"}]
    answers = [
        (await (await dial(key=gateway.secret)).join("feed", postgres_changes=[None, *bindings]))[4]["response"][
            "postgres_changes"
        ]
        for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert [{k: v for k, v in binding.items() if k != "id"} for binding in answers[0]] == bindings
    assert len({binding["id"] for binding in answers[0]}) == 2


async def test_wildcards_hear_every_published_table(dial, gateway, database):
    """schema and table may be *; a table published later is heard too, in commit order."""
    wire, _ = await listen(dial, {"event": "INSERT", "schema": "*"}, key=gateway.secret)
    await database.execute("create table if not exists public.later (id int primary key)")
    await database.execute("alter publication supabase_realtime add table public.later")
    await database.execute("insert into public.plain values (1, ''); insert into public.later values (2)")
    assert [(await wire.get())[4]["data"]["table"] for _ in range(2)] == ["plain", "later"]
    await database.execute("drop table public.later")


async def test_a_rolled_back_change_is_not_announced(dial, gateway, database):
    """Only what is committed, by any client, is heard."""
    wire, _ = await listen(dial, {**SONGS, "table": "plain"}, key=gateway.secret)
    transaction = database.transaction()
    await transaction.start()
    await database.execute("insert into public.plain values (1, 'never')")
    await transaction.rollback()
    await database.execute("insert into public.plain values (2, 'kept')")
    assert (await wire.get())[4]["data"]["record"]["title"] == "kept"


class TestLargeRows:
    @pytest.fixture
    def limits(self):
        return Limits(change_bytes=1000)

    async def test_a_large_row_goes_without_its_large_values(self, dial, gateway, database):
        """Over the limit only small values stay, and the payload says 413."""
        wire, _ = await listen(dial, {**SONGS, "table": "plain"}, key=gateway.secret)
        await database.execute("insert into public.plain values (1, repeat('x', 2000))")
        data = (await wire.get())[4]["data"]
        assert (data["record"], data["errors"]) == ({"id": 1}, ["Error 413: Payload Too Large"])
