"""The change feed beside bad neighbours: what one subscriber asks for, others do not suffer from."""

from __future__ import annotations

import pytest

from supabase_standin.realtime.limits import Limits
from tests.standin.conftest import mint
from tests.standin.test_changes import listen

PLAIN = {"event": "*", "schema": "public", "table": "plain"}


@pytest.fixture(autouse=True)
async def tables(database):
    await database.execute("""
        drop table if exists public.plain, public.other, public.keyless, public.sums;
        create table public.plain (id int primary key, title text, doc json);
        create table public.other (id int primary key);
        create table public.keyless (id int, secret text);
        create table public.sums (id int primary key, twice int generated always as (id * 2) stored);
        alter table public.keyless enable row level security;
        alter publication supabase_realtime add table public.plain, public.other, public.keyless, public.sums;
    """)


async def ids(wire, count):
    return [(await wire.get())[4]["data"]["record"]["id"] for _ in range(count)]


async def test_a_filter_that_begins_to_fail_silences_itself(dial, database):
    """When a column's type changes under a filter its subscriber is told, once, and all others hear on."""
    broken, _ = await listen(dial, {**PLAIN, "filter": "title=neq.abc"})
    whole, _ = await listen(dial, {**PLAIN, "filter": "id=gt.0"})
    await database.execute("alter table public.plain alter column title type int using null")
    await database.execute("insert into public.plain (id) values (1), (2)")
    await database.execute("insert into public.plain (id) values (3)")
    assert await ids(whole, 3) == [1, 2, 3]
    system = (await broken.get())[4]
    assert (system["status"], system["extension"]) == ("error", "postgres_changes")
    assert 'invalid input syntax for type integer: "abc"' in system["message"]
    await broken.send("phoenix", "heartbeat", {}, ref="beat", join_ref=None)
    assert (await broken.get())[1] == "beat"


async def test_a_row_that_cannot_be_told_takes_no_others_along(dial, database):
    """Of three rows of one transaction the first and the last are announced."""
    wire, _ = await listen(dial, PLAIN)
    await database.execute(r"""insert into public.plain values (1, 'a', '1'), (2, 'b', '"\ud800"'), (3, 'c', '3')""")
    assert await ids(wire, 2) == [1, 3]


async def test_a_large_transaction_comes_whole_and_in_order(dial, database):
    """Thousands of rows of one commit are handed on piece by piece, tables that nobody watches are passed over."""
    wire, _ = await listen(dial, {**PLAIN, "filter": "id=gt.0"}, {**PLAIN, "filter": "id=lte.700"})
    await database.execute("""
        with a as (insert into public.other select n from generate_series(1, 3000) n)
        insert into public.plain select n from generate_series(1, 1500) n
    """)
    assert await ids(wire, 1500) == list(range(1, 1501))


async def test_many_conditions_are_asked_in_one_statement(dial, database):
    """Each of many different filters is asked."""
    wires = [
        await listen(dial, *({**PLAIN, "filter": f"id=eq.{n}"} for n in range(first, first + 90)))
        for first in (0, 90, 180)
    ]
    await database.execute("insert into public.plain values (5), (95), (269)")
    for (wire, known), (wanted, at) in zip(wires, [(5, 5), (95, 5), (269, 89)], strict=True):
        message = (await wire.get())[4]
        assert (message["data"]["record"]["id"], message["ids"]) == (wanted, [known[at]])


async def test_filters_do_not_tell_of_columns_that_may_not_be_read(dial, database):
    """Who may not select a column may not filter by it: refused at first, and without effect once the right is lost."""
    await database.execute("revoke select on public.plain from anon; grant select (id) on public.plain to anon")
    wire = await dial()
    await wire.join("guess", postgres_changes=[{**PLAIN, "filter": "title=eq.hunter2"}])
    system = (await wire.get())[4]
    assert (system["status"], "invalid column for filter title" in system["message"]) == ("error", True)
    await database.execute("grant select (title) on public.plain to anon")
    wire, (_, everything) = await listen(dial, {**PLAIN, "filter": "title=eq.hunter2"}, PLAIN)
    await database.execute("revoke select (title) on public.plain from anon")
    await database.execute("insert into public.plain values (1, 'hunter2')")
    assert (await wire.get())[4]["ids"] == [everything]


async def test_a_delete_is_filtered_by_what_it_tells(dial, database):
    """With row security a filter sees the key of a deleted row, and nothing else of it."""
    await database.execute("""
        alter table public.plain enable row level security;
        alter table public.plain replica identity full;
        insert into public.plain values (1, 'hunter2');
    """)
    wire, (_, by_key) = await listen(dial, {**PLAIN, "filter": "title=eq.hunter2"}, {**PLAIN, "filter": "id=eq.1"})
    await database.execute("delete from public.plain")
    assert (await wire.get())[4]["ids"] == [by_key]


async def test_a_table_without_a_key_is_an_error_and_no_row(dial, gateway, database):
    """Everybody who listens learns that the table lacks a primary key, and nothing of the row."""
    for key in (gateway.anon, gateway.secret):
        wire, _ = await listen(dial, {**PLAIN, "table": "keyless", "filter": "secret=eq.other"}, key=key)
        await database.execute("insert into public.keyless values (1, 'hunter2')")
        data = (await wire.get())[4]["data"]
        assert data["errors"] == ["Error 400: Bad Request, no primary key"]
        assert (data["columns"], data["record"]) == ([], {})


async def test_the_listed_columns_are_those_of_the_record(dial, database):
    """A stored generated column is told where the log carries it (Postgres 18), and is not listed where it does not."""
    wire, _ = await listen(dial, {**PLAIN, "table": "sums"})
    await database.execute("insert into public.sums values (4)")
    data = (await wire.get())[4]["data"]
    logged = database.get_server_version().major >= 18
    assert data["record"] == ({"id": 4, "twice": 8} if logged else {"id": 4})
    assert [column["name"] for column in data["columns"]] == list(data["record"])


async def test_a_broadcast_between_two_slots_is_not_lost(dial, database):
    """What is committed while the slot is gone is sent when the next one is there, once."""
    wire = await dial()
    await wire.join("room")
    await database.execute("select realtime.send('{}', 'before', 'room', false)")
    assert b"before" in (await wire.get()).data
    async with database.transaction():  # a new slot begins after it
        await database.execute("select realtime.send('{}', 'lost', 'room', false)")
        await database.execute("select realtime.send_binary('bytes', 'bare', 'room', false)")
        gone = await database.fetch(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = current_database() and application_name like 'gateway slot of %messages%'"
        )
        assert [row[0] for row in gone] == [True]
    await database.execute("select realtime.send('{}', 'after', 'room', false)")
    heard = [(await wire.get()).data for _ in range(3)]
    assert [sum(event in data for event in (b"lost", b"bare", b"after")) for data in heard] == [1, 1, 1]
    assert b"after" in heard[2]


class TestSlowPolicies:
    @pytest.fixture
    def limits(self):
        return Limits(statement_s=60)

    async def test_broadcasts_do_not_wait_for_changes(self, dial, database, gate):
        """While a policy keeps a change from being announced, broadcasts of the database come; then the change does."""
        await database.execute(f"""
            alter table public.plain enable row level security;
            create policy slow on public.plain for select to authenticated using (pg_advisory_xact_lock_shared({gate.key}) is not null);
        """)
        watching, _ = await listen(dial, PLAIN, token=mint())
        hearing = await dial()
        await hearing.join("room")
        await gate.shut()
        await database.execute("insert into public.plain values (1)")
        await database.execute("select realtime.send('{}', 'job', 'room', false)")
        assert b"job" in (await hearing.get()).data
        await gate.open()
        assert await ids(watching, 1) == [1]


class TestFewBindings:
    @pytest.fixture
    def limits(self):
        return Limits(bindings_per_channel=3)

    async def test_a_join_brings_so_many_bindings_and_no_more(self, dial):
        """One over the limit refuses the join."""
        answer = await (await dial()).join("feed", postgres_changes=[PLAIN] * 4)
        assert answer[4]["response"]["reason"].startswith("TooManyPostgresChanges: 4 entries")
