"""The roles of worker and API: what their programs call, and nothing else."""

import asyncio
import re
import secrets
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from rhythmai.local.postgres import Postgres
from supabase_standin import BASELINE
from tests.conftest import MIGRATIONS, ROOT, execute, fixture, programs
from tests.database.desk import Queue, connect
from tests.database.roles import ALICE

DENIED = asyncpg.InsufficientPrivilegeError
PROGRAMS = {
    "rhythmai_worker": ["worker/**/*.py"],
    "rhythmai_api": ["edge_api/*.py", "supabase/functions/api/*.ts"],
}
CALL = re.compile(r"(?:select|from) queue\.(\w+)\(")
MAY = """
select p.proname from pg_proc p
 where p.pronamespace = any ('{queue,private}'::regnamespace[]) and has_function_privilege($1, p.oid, 'execute')
   and has_schema_privilege($1, p.pronamespace, 'usage')
"""


@fixture
async def login(db, database_url):
    """Call it with a role for a connection of its own, as its program has one; a role that logs in is a matter of the whole server."""
    opened = []

    async def login(role):
        password = secrets.token_hex(8)
        await db.execute(f"alter role {role} login password '{password}'")
        parts = urlsplit(database_url)
        opened.append(
            await connect(parts._replace(netloc=f"{role}:{password}@{parts.netloc.rpartition('@')[2]}").geturl())
        )
        return opened[-1]

    yield login
    for connection in opened:
        await connection.close()
    await db.execute("alter role rhythmai_worker nologin; alter role rhythmai_api nologin")


@pytest.mark.parametrize("role", PROGRAMS)
async def test_a_role_may_call_what_its_programs_call(db, role):
    """The functions in the sources of a program are those of its role, by name."""
    files = [file for pattern in PROGRAMS[role] for file in ROOT.glob(pattern)]
    called = {name for file in files for name in CALL.findall(file.read_text())}
    assert {row["proname"] for row in await db.fetch(MAY, role)} == called


async def test_a_job_s_whole_life_is_theirs(login, db):
    """The API's role enters and shows a job, the worker's claims it, writes results, ends it and delivers its webhook."""
    api, box = Queue(await login("rhythmai_api")), Queue(await login("rhythmai_worker"))
    await api.db.execute("select queue.take_upload('a.mp4', 1, null, '203.0.113.7')")
    options = {"callback_url": "https://example.com", "variants": 1}
    job = await api.submit(p_owner=ALICE, p_client="203.0.113.7", p_options=options)
    worker = await box.worker()
    held = await worker.claim()
    assert await worker.beat(held) == {}
    assert await worker.stage(held) == "ok"
    assert (await worker.plan(held, {"variants": []}))[0] == "ok"
    assert await worker.preview(held, "https://s/p.mp4") == "ok"
    assert await worker.put(held) == "ok"
    assert await worker.finish(held) == "ok"
    assert (await api.db.fetchval("select queue.view($1, $2)", job, ALICE))["status"] == "completed"
    assert await api.db.fetchval("select queue.view($1, $2)", job, None) is None
    again = await api.db.fetchval("select queue.again($1, $2)", job, ALICE)
    assert (await api.db.fetchval("select queue.cancel($1, $2)", again, ALICE))["status"] == "cancelled"
    sent = await box.db.fetchval("select queue.claim_delivery($1)", worker.id)
    assert (
        await box.db.fetchval("select queue.settle_delivery($1, $2, $3, true)", sent["id"], sent["attempt"], worker.id)
        == "ok"
    )
    assert (await api.db.fetchval("select queue.erase($1, $2)", again, ALICE))["status"] == "cancelled"
    await box.db.execute("select queue.leave($1)", worker.id)
    assert (await db.fetchrow("select owner, tenant from public.jobs where id = $1", job)) == (UUID(ALICE), ALICE)


@pytest.mark.parametrize(
    "statement",
    [
        "select 1 from public.jobs", "select 1 from public.results", "select 1 from private.settings", "select 1 from private.uploads",
        "insert into public.jobs (video_url) values ('https://example.com')", "delete from public.jobs", "update public.results set title = 'x'",
        "select queue.drain('box')", "select * from queue.purge('1 day')", "select queue.retry(gen_random_uuid())", "select private.wake('generate')",
        "select private.tenant_of(null, '203.0.113.7')", "set role service_role", "set role postgres", "set role anon", "truncate storage.objects", "select 1 from storage.objects", "select 1 from realtime.messages", "create table public.mine (id int)",
        "alter role rhythmai_worker bypassrls", "select 1 from pg_authid",
    ],
)  # fmt: skip
@pytest.mark.parametrize("role", PROGRAMS)
async def test_everything_else_is_closed(login, role, statement):
    """No table, no operator's function, no other role: whoever has the password of a program can only do what the program does."""
    connection = await login(role)
    with pytest.raises(DENIED):
        await connection.execute(statement)


@pytest.mark.parametrize(
    ("role", "foreign"),
    [
        ("rhythmai_api", "select queue.claim(1, '1 minute')"),
        ("rhythmai_worker", "select queue.submit('generate', 'https://a')"),
    ],
)
async def test_each_has_its_own_part(login, role, foreign):
    """The API claims nothing, a worker enters nothing and reads no job by its id."""
    connection = await login(role)
    with pytest.raises(DENIED):
        await connection.execute(foreign)


async def test_a_worker_listens(login, db):
    """LISTEN needs no right: a worker hears of jobs on its own connection."""
    connection, heard = await login("rhythmai_worker"), asyncio.Event()
    await connection.add_listener("jobs", lambda *_: heard.set())
    await Queue(db).submit()
    await asyncio.wait_for(heard.wait(), 60)


def test_databases_of_a_server_are_migrated_at_the_same_moment():
    """Roles belong to the server: whichever of its databases comes first makes them, without login, and all of them are migrated."""
    folder, user = programs()
    place = Path(tempfile.mkdtemp(prefix="rhythmai-roles-"))
    server = Postgres(place / "data", password="x", bin=folder, user=user, careless=True)
    before = [file.read_text() for file in (BASELINE, *sorted(MIGRATIONS.glob("*.sql"))) if "_roles" not in file.name]
    roles = next(MIGRATIONS.glob("*_roles.sql")).read_text()
    names = [f"one_{number}" for number in range(4)]

    async def all_at_once():
        for name in names:
            await execute(server.url(), f"create database {name}")
            await execute(server.url(name), *before)
        await asyncio.gather(*(execute(server.url(name), roles) for name in names))
        connection = await asyncpg.connect(server.url(names[0]))
        try:
            return await connection.fetch(
                "select rolname, rolcanlogin from pg_roles where rolname like 'rhythmai%' order by 1"
            )
        finally:
            await connection.close()

    try:
        server.start()
        assert asyncio.run(all_at_once()) == [
            ("rhythmai_api", False), ("rhythmai_worker", False), ("rhythmai_worker_key", False),
        ]  # fmt: skip
    finally:
        server.stop()
        shutil.rmtree(place)
