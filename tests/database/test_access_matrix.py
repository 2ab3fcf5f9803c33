"""A new table, function, policy, bucket or topic needs a decision: it changes the committed matrix."""

from pathlib import Path

import pytest

from tests.database.matrix import matrix

COMMITTED = Path(__file__).with_name("access_matrix.txt")


async def test_access_is_as_decided(db, tmp_path):
    """The rights of every role on every object are exactly those of access_matrix.txt."""
    found = await matrix(db)
    if found != COMMITTED.read_text():
        fresh = tmp_path / "access_matrix.txt"
        fresh.write_text(found)
        pytest.fail(
            f"access has changed: read `diff {COMMITTED} {fresh}`; if every line is meant, copy the new file over the old"
        )


@pytest.mark.parametrize(
    "change",
    [
        "create table public.notes (id int)",
        "create function public.peek() returns int language sql as 'select 1'",
        "create function private.peek() returns int language sql as 'select 1'",
        "create policy leak on public.jobs for select to anon using (true)",
        "grant select (id) on public.jobs to anon",
        "alter table public.jobs disable row level security",
        "insert into storage.buckets (id, name, public) values ('secrets', 'secrets', true)",
        "create policy list on storage.objects for select to anon using (true)",
        "alter publication supabase_realtime add table public.workers",
        "create or replace function private.may_watch(topic text) returns boolean language sql as 'select true'",
    ],
)
async def test_a_change_without_a_decision_is_seen(db, change):
    """Whatever opens a door changes the matrix."""
    transaction = db.transaction()
    await transaction.start()
    before = await matrix(db)
    await db.execute(change)
    assert await matrix(db) != before
    await transaction.rollback()
