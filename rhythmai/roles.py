"""The roles that worker and API connect as: passwords, and the addresses that hold them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from rhythmai.errors import BadInput

if TYPE_CHECKING:
    import asyncpg

ITERATIONS: Final = 4096
"""Postgres' own; the password has 192 random bits."""
POOLER: Final = "aws-N-REGION.pooler.supabase.com:5432"
"""Whose N and REGION only the dashboard tells (Connect)."""


class Role(StrEnum):
    """Whose DATABASE_URL."""

    WORKER = "worker"
    API = "api"

    @property
    def name_in_database(self) -> str:
        return f"rhythmai_{self}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a program reaches the database as its role."""

    url: str
    other: str | None
    """A Supabase project's other door: the pooler's form of a direct address, or the direct form of a pooler's."""


async def admit(connection: asyncpg.Connection, role: Role, database_url: str) -> Access:
    """Give the role a new password, and a login. Raises BadInput when it is not there."""
    password = secrets.token_urlsafe(24)
    statement = await connection.fetchval(
        "select format('alter role %I login password %L', r.rolname, $2::text) from pg_roles r where r.rolname = $1",
        role.name_in_database, verifier(password),
    )  # fmt: skip
    if statement is None:
        raise BadInput(f"The database has no role {role.name_in_database}: run `rhythmai migrate`")
    await connection.execute(statement)
    return _access(urlsplit(database_url), role.name_in_database, password)


def _access(owner: SplitResult, role: str, password: str) -> Access:
    _, _, host = owner.netloc.rpartition("@")
    _, _, project = (owner.username or "").partition(".")
    query = urlencode([pair for pair in parse_qsl(owner.query) if pair[0] != "pgbouncer"])
    if project:  # through a pooler, which finds the project by the user
        direct = owner._replace(netloc=f"{role}:{password}@db.{project}.supabase.co:5432", query=query)
        return Access(url=owner._replace(netloc=f"{role}.{project}:{password}@{host}").geturl(), other=direct.geturl())
    url = owner._replace(netloc=f"{role}:{password}@{host}").geturl()
    if found := re.fullmatch(r"db\.([a-z0-9]+)\.supabase\.co(:\d+)?", host):
        return Access(url=url, other=owner._replace(netloc=f"{role}.{found[1]}:{password}@{POOLER}").geturl())
    return Access(url=url, other=None)


def verifier(password: str, iterations: int = ITERATIONS) -> str:
    """What Postgres keeps of a password (RFC 5803): made here, so that the password itself is in no log of statements."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return "SCRAM-SHA-256${}:{}${}:{}".format(
        iterations, *(base64.b64encode(part).decode() for part in (salt, stored, server))
    )
