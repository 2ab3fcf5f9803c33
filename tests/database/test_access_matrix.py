"""A new object or right needs a decision, whatever it is and wherever: it changes the committed matrix."""

from collections import Counter
from pathlib import Path

import pytest

from supabase_standin.database import FUNCTIONS
from tests.conftest import FUZZ, fixture
from tests.database.matrix import matrix

COMMITTED = Path(__file__).with_name("access_matrix.txt")


@fixture
async def project(db):
    """The database as it is behind a running gateway, which lays functions of its own; its roles as the migrations make them: other
    tests of this server have let them in."""
    await db.execute(FUNCTIONS.read_text())
    await db.execute("alter role rhythmai_worker nologin; alter role rhythmai_api nologin")
    return db


async def test_access_is_as_decided(project, tmp_path):
    """The rights of every role on every object are exactly those of access_matrix.txt."""
    found = await matrix(project)
    if found != COMMITTED.read_text():
        fresh = tmp_path / "access_matrix.txt"
        fresh.write_text(found)
        pytest.fail(
            f"access has changed: read `diff {COMMITTED} {fresh}`; if every line is meant, copy the new file over the old"
        )


INSERT_TRIGGER = (
    "function private.before_insert_of_job() returns trigger language plpgsql security definer set search_path = ''"
)
CHANGES = {
    # objects without a decision
    "create table public.notes (id int)": "+table public.notes  [rls OFF]",
    "create view public.everything as select * from public.jobs": "+view public.everything",
    "create schema leak; grant usage on schema leak to anon": "+schema leak",
    "create function public.peek() returns int language sql as 'select 1'": "+function public.peek()",
    "create function private.peek() returns int language sql as 'select 1'": "+function private.peek()",
    "create function gateway.peek() returns int language sql as 'select 1'": "+function gateway.peek()",
    "create function storage.peek() returns setof public.jobs language sql security definer as 'select * from public.jobs'":
        "+function storage.peek()  [returns SETOF jobs, security definer",
    "create function realtime.peek() returns setof public.jobs language sql security definer as 'select * from public.jobs'":
        "+function realtime.peek()  [returns SETOF jobs, security definer",
    "create publication all_of_it for all tables": "+publication all_of_it  [ALL TABLES",
    "insert into storage.buckets (id, name, public) values ('secrets', 'secrets', true)": "+bucket secrets  [public",
    # rights
    "grant select (id) on public.jobs to anon": "+    anon: select(id)",
    "grant usage on schema queue to anon": "+    anon: usage",
    "grant create on schema public to authenticated": "+    authenticated: create, usage",
    "grant service_role to authenticated": "+role authenticated  [member of service_role",
    "alter role authenticated bypassrls": "+role authenticated  [bypasses rls",
    "alter role anon login": "+role anon  [logs in",
    "alter default privileges in schema queue grant execute on functions to anon":
        "+default privileges on functions in schema queue  [anon execute]",
    # row security
    "alter table public.jobs disable row level security": "+table public.jobs  [rls OFF]",
    "alter table storage.objects disable row level security": "+table storage.objects  [rls OFF]",
    "alter table realtime.messages disable row level security": "+table realtime.messages  [rls OFF]",
    "create policy leak on public.jobs for select to anon using (true)": '+policy public.jobs "leak"',
    "create policy list on storage.objects for select to anon using (true)": "+    anon: list",
    "create policy put on storage.objects for insert to authenticated with check (bucket_id = 'uploads')": "+    alice: upload",
    "create policy forge on realtime.messages for insert to anon with check (true)": "+    sent to by anon, service",
    "create or replace function private.may_watch(topic text) returns boolean language sql stable security definer set search_path = '' as 'select true'":
        "+    watched by anon, alice, bob, service",
    # what is told live
    "alter publication supabase_realtime add table public.workers": "+publication supabase_realtime public.workers",
    "alter publication supabase_realtime add table realtime.messages": "+publication supabase_realtime realtime.messages",
    "alter publication supabase_realtime_messages_publication add table public.jobs":
        "+publication supabase_realtime_messages_publication public.jobs",
    "alter publication supabase_realtime set (publish = 'insert')": "+publication supabase_realtime  [insert]",
    "alter table public.jobs replica identity full": "+table public.jobs  [rls on, replica identity full]",
    # what happens in between
    f"create or replace {INSERT_TRIGGER} as 'begin return new; end'": "+    kind generate, lane batch",
    "alter table public.jobs disable trigger jobs_before_insert": "+trigger public.jobs jobs_before_insert  [DISABLED",
    "drop trigger jobs_before_insert on public.jobs": "-trigger public.jobs jobs_before_insert",
    "alter table storage.objects disable trigger protect_objects_delete": "+trigger storage.objects protect_objects_delete  [DISABLED",
    "update storage.buckets set public = false where id = 'audios'": "+bucket audios  [private",
    "update storage.buckets set allowed_mime_types = null where id = 'uploads'": "+bucket uploads  [public",
}  # fmt: skip


TOGETHER = 7 if FUZZ == 1 else len(CHANGES)
"""In so many turns all are tried; each seventh does not touch what the others of its turn do."""


@pytest.mark.parametrize("turn", range(TOGETHER))
async def test_a_change_without_a_decision_is_told(project, turn):
    """Whatever opens a door is a line that differs from the committed matrix, and says what it is."""
    changes = dict([*CHANGES.items()][turn::TOGETHER])
    transaction = project.transaction()
    await transaction.start()
    await project.execute(";".join(changes))
    found = await matrix(project)
    await transaction.rollback()
    old, new = Counter(COMMITTED.read_text().splitlines()), Counter(found.splitlines())
    differences = [*(f"+{line}" for line in new - old), *(f"-{line}" for line in old - new)]
    untold = [told for told in changes.values() if not any(line.startswith(told) for line in differences)]
    assert not untold, "\n".join(differences)
