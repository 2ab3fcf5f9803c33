"""The migrations of this version, and how they are applied and recorded: as the supabase CLI does, so that both can be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg

from rhythmai.errors import RhythmAIError
from rhythmai.project.environment import Policy

RECORD = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
alter table supabase_migrations.schema_migrations add column if not exists statements text[];
alter table supabase_migrations.schema_migrations add column if not exists name text;
"""
KEEP = "update private.settings set keep_for = $1"
ONE_AT_A_TIME = "select pg_advisory_xact_lock(hashtextextended('rhythmai:migrate', 0))"
"""A lock of the transaction, not of the session: it works behind a transaction pooler, too."""


class MigrationFailed(RhythmAIError):
    """A migration was refused by the database; nothing of its file holds, everything before it does."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file `<version>_<name>.sql`."""

    version: str
    name: str
    sql: str


def bundled() -> tuple[Migration, ...]:
    """The migrations that came with this package, oldest first."""
    here = Path(__file__).parent
    installed = here / "migrations"  # in a wheel; a clone has them where the supabase CLI looks
    folder = installed if installed.is_dir() else here.parent / "supabase" / "migrations"
    found = []
    for file in sorted(folder.glob("*.sql")):
        version, _, name = file.stem.partition("_")
        found.append(Migration(version, name, file.read_text()))
    if not found:
        raise MigrationFailed(
            f"There are no migrations in {folder}: the installation is broken, install rhythmai again"
        )
    return tuple(found)


async def migrate(
    connection: asyncpg.Connection, migrations: Sequence[Migration], told: Callable[[Migration], None] | None = None
) -> list[Migration]:
    """Apply those that are missing, each file in one transaction together with its record; return them.

    `told` hears of each that holds. Raises MigrationFailed. Two that migrate at the same time do not meet: each file waits for the other's.
    """
    done = []
    async with connection.transaction():
        await connection.execute(ONE_AT_A_TIME)
        await connection.execute(RECORD)
    for migration in migrations:
        async with connection.transaction():
            await connection.execute(ONE_AT_A_TIME)
            if await connection.fetchval(
                "select exists (select from supabase_migrations.schema_migrations where version = $1)",
                migration.version,
            ):
                continue
            try:
                await connection.execute(migration.sql)
            except asyncpg.PostgresError as error:
                raise MigrationFailed(f"Migration {migration.version}_{migration.name} failed: {error}") from error
            await connection.execute(
                "insert into supabase_migrations.schema_migrations (version, statements, name) values ($1, $2, $3)",
                migration.version, [migration.sql], migration.name,
            )  # fmt: skip
        done.append(migration)
        if told:
            told(migration)
    return done


async def decide(connection: asyncpg.Connection, policy: Policy) -> list[str]:
    """Write what the operator decides; returns a sentence for what that changes."""
    said = []
    if await connection.fetchval("select queue.set_input_buckets($1)", policy.input_buckets):
        said.append(f"Jobs may name what lies in these buckets: {', '.join(policy.input_buckets) or 'none'}")
    if policy.retention_days is not None:
        await connection.execute(KEEP, timedelta(days=policy.retention_days))
        said.append(f"Jobs that have ended are kept for {policy.retention_days:g} days.")
    return said
