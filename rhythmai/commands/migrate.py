"""`rhythmai migrate`: bring a database to the schema of this version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rhythmai.commands.arguments import Data
from rhythmai.commands.running import command
from rhythmai.errors import BadInput

if TYPE_CHECKING:
    import asyncpg

    from rhythmai.drift import Standing


@command
async def migrate(
    baseline: Annotated[
        bool, typer.Option("--baseline", help="First lay the shape of a Supabase project on a plain Postgres.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Only list the migrations and how they stand.")] = False,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="Leave migrations alone that are not ours, and go on.")
    ] = False,
    data: Data = None,
) -> None:
    """Apply the migrations of this version to DATABASE_URL.

    They are recorded as the supabase CLI records them: both can be used on one database, in any order. Then the buckets of
    INPUT_BUCKETS, and no others, are opened to jobs and to workers' keys, and RETENTION_DAYS, where it is set, is written into the
    database: how long jobs that have ended stay.
    """
    from rhythmai import schema
    from rhythmai.drift import State, refuse_drift, standings
    from rhythmai.project.environment import Policy, read
    from rhythmai.target import Target, database

    policy = read(Policy, BadInput)
    async with database(Target.find(data)) as connection:
        found = await standings(connection, schema.bundled())
        if status:
            for standing in found:
                print(f"{standing.state:<8}  {_name(standing)}")
        refuse_drift(found, allow_unknown=allow_unknown)
        if status:
            return
        await _check_shape(connection, baseline)
        pending = [standing for standing in found if standing.state is State.PENDING]
        if dry_run:
            for line in [*(["the shape of a Supabase project"] if baseline else []), *map(_name, pending)]:
                print(f"Would apply {line}")
        else:
            if baseline:
                await _lay_baseline(connection)
            done = await schema.migrate(
                connection, schema.bundled(), lambda one: print(f"Applied {one.version}_{one.name}", flush=True)
            )
            ours = {one.version for one in done}
            for standing in pending:
                if standing.version not in ours:
                    print(f"Somebody else applied {_name(standing)} meanwhile")
            for sentence in await schema.decide(connection, policy):
                print(sentence)
        if not pending:
            print("Nothing to apply: the database is up to date.")


def _name(standing: Standing) -> str:
    return f"{standing.version}_{standing.name}"


async def _check_shape(connection: asyncpg.Connection, baseline: bool) -> None:
    """The baseline is for a plain Postgres, and a plain Postgres needs it. Raises BadInput."""
    hosted, shaped, superuser = await connection.fetchrow(
        "select to_regrole('supabase_admin') is not null,"
        " to_regrole('service_role') is not null and to_regproc('realtime.send') is not null"
        " and to_regclass('storage.buckets') is not null and to_regproc('auth.uid') is not null,"
        " (select rolsuper from pg_roles where rolname = current_user)"
    )
    if baseline and hosted:
        raise BadInput("This is a Supabase project, which has its shape already: leave --baseline out")
    if baseline and not superuser:
        raise BadInput("--baseline makes roles and schemas: DATABASE_URL must be a superuser's")
    if not baseline and not shaped:
        raise BadInput("This is a plain Postgres, not a Supabase project: add --baseline to lay the shape of one first")


async def _lay_baseline(connection: asyncpg.Connection) -> None:
    from supabase_standin import BASELINE

    await connection.execute(BASELINE.read_text())
    print("Applied the shape of a Supabase project", flush=True)
