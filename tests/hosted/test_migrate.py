"""`rhythmai migrate`, and its peace with the supabase CLI."""

from __future__ import annotations

import asyncio
import json
import secrets
from urllib.parse import urlsplit

import asyncpg
import pytest

from rhythmai import schema
from tests.cli.stack_process import BASE, call
from tests.conftest import copied

VERSIONS = [migration.version for migration in schema.bundled()]
LAST = VERSIONS[-1]


@pytest.fixture
def project_url(postgres, plain):
    """A database of the shape of a Supabase project, without migrations."""
    with copied(postgres, plain) as url:
        yield url


def test_a_plain_postgres_needs_the_baseline(rhythmai, empty_database):
    """Without --baseline a plain Postgres is refused with a word, with it the way from nothing to up to date is one command."""
    refused = rhythmai("migrate", DATABASE_URL=empty_database)
    assert refused.code == 1
    assert "add --baseline" in refused.err
    done = rhythmai("migrate", "--baseline")
    assert done.code == 0
    assert [line.split("_")[0].split()[-1] for line in done.out.splitlines()[1:]] == VERSIONS
    assert rhythmai("migrate", "--baseline").out.splitlines()[-1] == "Nothing to apply: the database is up to date."


def test_a_base_install_lays_the_baseline(empty_database, tmp_path):
    """Nothing of this needs the extra `local`."""
    environment = {"cwd": tmp_path, "program": BASE, "DATABASE_URL": empty_database}
    code, out, err = asyncio.run(call("migrate", "--baseline", "--dry-run", **environment))
    assert (code, err, out.count("Would apply")) == (0, "", len(VERSIONS) + 1)
    code, out, err = asyncio.run(call("migrate", "--baseline", **environment))
    assert (code, err, out.splitlines()[0]) == (0, "", "Applied the shape of a Supabase project")


def test_a_dry_run_changes_nothing(rhythmai, project_url, sql):
    """--dry-run and --status name what is pending and leave no trace."""
    dry = rhythmai("migrate", "--dry-run", DATABASE_URL=project_url)
    assert dry.out.count("Would apply") == len(VERSIONS)
    assert rhythmai("migrate", "--status").out.count("pending") == len(VERSIONS)
    assert sql(project_url, "select to_regnamespace('supabase_migrations')")[0][0] is None


def test_it_says_how_long_jobs_are_kept(rhythmai, project_url, sql):
    """RETENTION_DAYS goes into the database, again with each run; unset it changes nothing, and a wrong one stops all."""
    refused = rhythmai("migrate", DATABASE_URL=project_url, RETENTION_DAYS="-1")
    assert refused.code == 1
    assert refused.err.startswith("rhythmai: RETENTION_DAYS is malformed: ")
    assert sql(project_url, "select to_regclass('private.settings')")[0][0] is None
    assert "Jobs that have ended are kept for 30 days." in rhythmai("migrate", RETENTION_DAYS="30").out
    assert "kept" in rhythmai("migrate", RETENTION_DAYS="7.5").out
    assert "kept" not in rhythmai("migrate", RETENTION_DAYS="").out
    assert sql(project_url, "select keep_for = '7.5 days' from private.settings")[0][0]


async def test_who_comes_second_is_told(project_url, tmp_path):
    """A run that finds its migrations applied while it waited says so."""
    other = await asyncpg.connect(project_url)
    async with other.transaction():
        await other.execute(schema.ONE_AT_A_TIME)
        late = asyncio.create_task(call("migrate", cwd=tmp_path, DATABASE_URL=project_url))
        while not await other.fetchval("select exists (select from pg_locks where not granted)"):
            pass
        await other.execute(schema.RECORD + "".join(migration.sql for migration in schema.bundled()))
        await other.executemany(
            "insert into supabase_migrations.schema_migrations (version, name) values ($1, $2)",
            [(migration.version, migration.name) for migration in schema.bundled()],
        )
    code, out, err = await late
    assert (code, err) == (0, "")
    assert out.count("Somebody else applied") == len(VERSIONS)
    await other.close()


def test_another_statement_is_drift(rhythmai, project_url, sql):
    """A recorded migration with other statements is refused by name, and nothing is changed."""
    assert rhythmai("migrate", DATABASE_URL=project_url).code == 0
    sql(
        project_url,
        "update supabase_migrations.schema_migrations set statements = array['select 1'] where version = $1",
        VERSIONS[0],
    )
    sql(project_url, "delete from supabase_migrations.schema_migrations where version = $1", LAST)
    refused = rhythmai("migrate")
    assert refused.code == 1
    assert VERSIONS[0] in refused.err
    status = rhythmai("migrate", "--status")
    assert status.code == 1
    assert f"altered   {VERSIONS[0]}" in status.out
    assert f"pending   {LAST}" in status.out
    assert len(sql(project_url, "select from supabase_migrations.schema_migrations")) == len(VERSIONS) - 1


def test_an_unknown_migration_is_drift_until_allowed(rhythmai, project_url, sql):
    """A recorded migration that is not ours is refused, unless --allow-unknown says that it is the project's own."""
    assert rhythmai("migrate", DATABASE_URL=project_url).code == 0
    sql(
        project_url,
        "insert into supabase_migrations.schema_migrations (version, name) values ('20991231000000', 'theirs')",
    )
    refused = rhythmai("migrate")
    assert refused.code == 1
    assert "20991231000000_theirs" in refused.err
    assert rhythmai("migrate", "--allow-unknown").code == 0


def test_through_a_transaction_pooler(rhythmai, empty_database, pooler):
    """Baseline, migrations and status work where every transaction may get another connection."""
    url = pooler.url(empty_database)
    assert rhythmai("migrate", "--baseline", DATABASE_URL=url).code == 0
    assert rhythmai("migrate", "--status").out.count("applied") == len(VERSIONS)


@pytest.mark.slow
def test_the_cli_finds_what_we_applied(rhythmai, project_url, supabase_cli):
    """After `rhythmai migrate` the supabase CLI has nothing to push."""
    assert rhythmai("migrate", DATABASE_URL=project_url).code == 0
    assert "up to date" in supabase_cli("db", "push", "--yes", remote=project_url)


@pytest.mark.slow
def test_we_find_what_the_cli_applied(rhythmai, project_url, supabase_cli, sql):
    """After `supabase db push` there is no drift; and a file that one has not applied, the other does."""
    supabase_cli("db", "push", "--yes", remote=project_url)
    assert rhythmai("migrate", "--status", DATABASE_URL=project_url).out.count("applied") == len(VERSIONS)
    # The last file only adds rows it finds again: as good as never applied.
    sql(project_url, "delete from supabase_migrations.schema_migrations where version = $1", LAST)
    assert rhythmai("migrate").out.split() == [
        "Applied",
        schema.bundled()[-1].version + "_" + schema.bundled()[-1].name,
    ]
    assert "up to date" in supabase_cli("db", "push", "--yes", remote=project_url)


@pytest.mark.slow
def test_repair_ends_drift(rhythmai, project_url, supabase_cli, sql):
    """What the refusal advises works: `supabase migration repair` records our statements again."""
    assert rhythmai("migrate", DATABASE_URL=project_url).code == 0
    sql(
        project_url,
        "update supabase_migrations.schema_migrations set statements = array['select 1'] where version = $1",
        LAST,
    )
    assert rhythmai("migrate").code == 1
    supabase_cli("migration", "repair", "--status", "applied", LAST, "--yes", remote=project_url)
    assert rhythmai("migrate").code == 0


def test_no_superuser_is_needed(rhythmai, project_url, sql, template):
    """A role with no more rights than `postgres` has on a hosted project migrates, its triggers send live events, its functions serve API and worker."""
    name = f"hosted_{secrets.token_hex(4)}"
    for statement in (
        f"create role {name} login createdb createrole bypassrls password 'secret'",
        f"grant anon, authenticated, service_role, supabase_realtime_admin, supabase_storage_admin to {name} with admin option",
        f"alter schema public owner to {name}",
        f"grant usage on schema realtime, storage, auth to {name}",
        # The roles are there: another database of this server, the template, is migrated, by somebody else.
        f"grant authenticator, rhythmai_worker, rhythmai_worker_key, rhythmai_api to {name} with admin option",
        f"grant select, insert, update, delete on storage.buckets, storage.objects to {name}",
        f"alter publication supabase_realtime owner to {name}",
        f"grant create on database {urlsplit(project_url).path[1:]} to {name}",
    ):
        sql(project_url, statement)
    parts = urlsplit(project_url)
    url = parts._replace(netloc=f"{name}:secret@{parts.hostname}:{parts.port}").geturl()
    done = rhythmai("migrate", DATABASE_URL=url)
    assert done.code == 0, done.err
    sql(url, "insert into public.jobs (video_url) values ('https://example.com/a.mp4')")
    assert sql(project_url, "select count(*) from realtime.messages where topic = 'jobs'")[0][0] == 1
    worker, api = json.loads(rhythmai("roles", "--json").out).values()
    assert sql(api["database_url"], "select queue.health() as health")
    register = "select queue.register('box', '{generate}', '{sketch}', '1', '1 minute') as id"
    box = sql(worker["database_url"], register)[0]["id"]
    assert "example.com" in sql(worker["database_url"], "select queue.claim($1, '1 minute')", box)[0]["claim"]
    sql(project_url, "alter role rhythmai_worker nologin")
    sql(project_url, "alter role rhythmai_api nologin")
    sql(project_url, f"reassign owned by {name} to postgres")
    sql(project_url, f"drop owned by {name}")
    sql(project_url, f"drop role {name}")


def test_the_buckets_that_jobs_may_name(rhythmai, project_url, sql):
    """Each run opens exactly those of INPUT_BUCKETS, says so where that changes, and closes them where it is not set; a dry run does neither."""
    opened = "select input_buckets from private.settings"
    assert "no bucket" in rhythmai("migrate", DATABASE_URL=project_url, INPUT_BUCKETS="films,no bucket!").err
    assert "uploads is RhythmAI's own" in rhythmai("migrate", INPUT_BUCKETS="films,uploads").err
    done = rhythmai("migrate", INPUT_BUCKETS="films, rushes,films")
    assert done.out.splitlines()[-1] == "Jobs may name what lies in these buckets: films, rushes"
    assert sql(project_url, opened)[0][0] == ["films", "rushes"]
    assert rhythmai("migrate").out == "Nothing to apply: the database is up to date.\n"
    rhythmai("migrate", "--dry-run", INPUT_BUCKETS="")
    assert sql(project_url, opened)[0][0] == ["films", "rushes"]
    assert "these buckets: none" in rhythmai("migrate", INPUT_BUCKETS="").out
    assert sql(project_url, "select count(*) from pg_policies where policyname like '%input buckets'")[0][0] == 0
