"""The Supabase project that operators work on: the one the environment (or `.env`) names, else the running local stack."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Self

import asyncpg
from pydantic import Field, PostgresDsn, TypeAdapter, ValidationError

from rhythmai.errors import BadInput, Unreachable
from rhythmai.nearby import nearby
from rhythmai.project.dsn import connect_arguments
from rhythmai.project.environment import DATABASE_URL, SECRET_KEY, Environment

AWAY: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
CONNECT_S: Final = 15.0
POOLER: Final = "db.REF.supabase.co has IPv6 only: take the session pooler's address (dashboard, Connect)"
TRUST: Final = "Download the CA (dashboard, Settings, Database) and add ?sslmode=verify-full&sslrootcert=FILE"
OWNER: Final = "Take the user postgres in DATABASE_URL, as the dashboard writes it (Connect)"


class Target(Environment):
    """What of the environment an operator needs."""

    database_url: str = Field(default="", validation_alias=DATABASE_URL)
    supabase_url: str = ""
    supabase_key: str = Field(default="", validation_alias=SECRET_KEY)

    @classmethod
    def find(cls, data: Path | None = None) -> Self:
        """`data` names a local stack and wins over the environment. Raises NoStack, BadInput."""
        target = cls()
        if data is not None or not target.database_url:
            found = nearby(data, "DATABASE_URL").environment
            target = cls(
                database_url=found["DATABASE_URL"],
                supabase_url=found["SUPABASE_URL"],
                supabase_key=found["SUPABASE_KEY"],
            )
        try:
            # As API and worker read it: what is special in a password is percent-encoded.
            url = TypeAdapter(PostgresDsn).validate_python(target.database_url)
        except ValidationError as error:
            raise BadInput(
                f"DATABASE_URL is malformed: {error.errors()[0]['msg']} (in a password, write / as %2F, # as %23, ? as %3F)"
            ) from None
        return target.model_copy(update={"database_url": str(url)})


def lacks_ipv6(url: str, said: str) -> bool:
    """Whether this is how a machine without IPv6 meets a direct connection to Supabase."""
    return ".supabase.co" in url and any(sign in said for sign in ("unreachable", "Errno -2", "Errno -5"))


@asynccontextmanager
async def database(target: Target) -> AsyncIterator[asyncpg.Connection]:
    """A connection. Raises Unreachable, also when the database goes away later or refuses what we ask."""
    try:
        connection = await asyncpg.connect(
            timeout=CONNECT_S, **connect_arguments(target.database_url, "rhythmai operator")
        )
    except ssl.SSLCertVerificationError as error:
        raise Unreachable(f"The database's certificate is not trusted: {error.verify_message}", TRUST) from None
    except FileNotFoundError:
        raise BadInput("DATABASE_URL names a file that is not there: check sslrootcert") from None
    except AWAY as error:
        said = f"The database does not let us in: {error or type(error).__name__}"
        raise Unreachable(said, POOLER if lacks_ipv6(target.database_url, said) else "") from None
    try:
        yield connection
    except (asyncpg.InvalidSchemaNameError, asyncpg.UndefinedFunctionError, asyncpg.UndefinedTableError) as error:
        raise Unreachable(f"The database lacks our migrations ({error}): run `rhythmai migrate`") from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise Unreachable(f"The database did not do it: {error}", OWNER) from None
    except AWAY as error:
        raise Unreachable(f"The database did not do it: {error or type(error).__name__}") from None
    finally:
        with suppress(*AWAY):
            await connection.close(timeout=5)
