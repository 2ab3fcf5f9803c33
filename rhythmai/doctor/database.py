"""The database: reachable, new enough, migrated; what kind of connection it is; whether the clocks agree."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import asyncpg

from rhythmai import schema
from rhythmai.doctor.finding import Finding, Verdict, fail, note, ok
from rhythmai.drift import Drift, State, refuse_drift, standings
from rhythmai.errors import BadInput, Unreachable
from rhythmai.project.dsn import behind_transaction_pooler
from rhythmai.roles import Role
from rhythmai.target import Target, database
from worker.settings import Settings

CHECK: Final = "database"
OLDEST: Final = 15
CONNECT: Final = "Take DATABASE_URL from the dashboard (Connect) and check user, password and port"
OURS: Final = frozenset(role.name_in_database for role in Role)
CLOCKS_S: Final = 30.0
"""Beyond that tokens look expired, or not yet valid."""
HEAR_S: Final = 3.0


async def examine(settings: Settings) -> list[Finding]:
    target = Target(database_url=str(settings.database_url))
    try:
        async with database(target) as connection:
            return [
                await _version(connection),
                *await _standing(connection, settings),
                await _clock(connection),
                await _kind(connection, target),
            ]
    except Unreachable as error:
        return [fail(CHECK, error.text, error.remedy or CONNECT)]
    except BadInput as error:
        return [fail(CHECK, str(error), CONNECT)]


async def _version(connection: asyncpg.Connection) -> Finding:
    # Asked as a statement: what a connection says of itself at its start may be its pooler's.
    version = await connection.fetchval("show server_version")
    if int(version.split(".")[0]) < OLDEST:
        return fail(CHECK, f"Postgres {version} is too old", f"Upgrade it to {OLDEST} or newer")
    return ok(CHECK, f"Postgres {version}")


async def _standing(connection: asyncpg.Connection, settings: Settings) -> list[Finding]:
    """As whom we are let in, and what is there for us: a program's role is told its functions, the owner the migrations."""
    user, functions, owns = await connection.fetchrow(
        "select current_user::text, count(*) filter (where has_function_privilege(p.oid, 'execute')),"
        " bool_or(pg_has_role(p.proowner, 'usage'))"
        " from pg_proc p where p.pronamespace = to_regnamespace('queue')"
    )
    if user in OURS:
        if not functions:
            return [fail(CHECK, f"{user} may call nothing of the queue", "Run `rhythmai migrate` as the owner")]
        return [ok(CHECK, f"as {user}, which may call {functions} functions and nothing else")]
    found = [await _migrations(connection)]
    if owns and found[0].verdict is not Verdict.FAIL:
        opened = await connection.fetchval("select s.input_buckets from private.settings s")
        if tuple(opened) != settings.input_buckets:
            said = f"jobs may name objects of {_listed(opened)}, and INPUT_BUCKETS is {_listed(settings.input_buckets)}"
            found.append(fail(CHECK, said, "Run `rhythmai migrate` with the INPUT_BUCKETS that is meant"))
    if owns and found[0].verdict is Verdict.OK:
        for engine, count in await connection.fetch("select engine, jobs from queue.lacking()"):
            said = f"jobs that wait for {engine}, which no living worker has: {count}"
            found.append(note(CHECK, said, f"Start a worker with ENGINE={engine}"))
    if owns:
        said = f"DATABASE_URL is that of {user}: a machine that is broken into holds the whole database"
        found.append(note(CHECK, said, "Give workers and API their own: `rhythmai roles`"))
    return found


def _listed(buckets: Sequence[str]) -> str:
    return ", ".join(buckets) or "no bucket"


async def _migrations(connection: asyncpg.Connection) -> Finding:
    found = await standings(connection, schema.bundled())
    try:
        refuse_drift(found, allow_unknown=True)
    except Drift as drift:
        return fail(CHECK, "the recorded migrations are not ours", str(drift))
    pending = [one for one in found if one.state is State.PENDING]
    if pending:
        said = f"{len(pending)} migrations are missing, the first is {pending[0].name}"
        return fail(CHECK, said, "Run `rhythmai migrate`")
    if unknown := [one.name or one.version for one in found if one.state is State.UNKNOWN]:
        return note(CHECK, f"all our migrations are there, and others: {', '.join(unknown)}")
    return ok(CHECK, f"all {len(found)} migrations are there")


async def _clock(connection: asyncpg.Connection) -> Finding:
    before = time.time()
    theirs = await connection.fetchval("select extract(epoch from clock_timestamp())::float8")
    apart_s = abs(theirs - (before + time.time()) / 2)
    if apart_s > CLOCKS_S:
        return fail(CHECK, f"the clock of this machine is {apart_s:.0f} s off", "Switch on time synchronisation (NTP)")
    return ok(CHECK, "the clocks agree")


async def _kind(connection: asyncpg.Connection, target: Target) -> Finding:
    """A transaction pooler hears no LISTEN, and says nothing of it."""
    if behind_transaction_pooler(target.database_url):
        return note(CHECK, "a transaction pooler: no LISTEN, so Realtime and the poll wake the workers")
    channel, heard = f"doctor_{secrets.token_hex(8)}", asyncio.Event()
    await connection.add_listener(channel, lambda *_: heard.set())
    async with database(target) as other:
        await other.execute("select pg_notify($1, '')", channel)
    with suppress(TimeoutError):
        await asyncio.wait_for(heard.wait(), HEAR_S)
    if heard.is_set():
        return ok(CHECK, "a direct connection or session pooler: LISTEN works")
    return fail(CHECK, "LISTEN hears nothing: this is a transaction pooler", "Add ?pgbouncer=true to DATABASE_URL")
