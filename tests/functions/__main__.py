"""`python -m tests.functions`: renew the TypeScript that is made from the contract and from the migrations."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from pathlib import Path

from rhythmai.local.postgres import Postgres
from supabase_standin import BASELINE
from tests.conftest import MIGRATIONS, execute, programs
from tests.functions.made import SHARED, write_contract, write_database


def main() -> None:
    """Writes all of them in place."""
    folder, user = programs()
    with tempfile.TemporaryDirectory(prefix="rhythmai-types-") as place:
        password = secrets.token_hex(8)
        server = Postgres(Path(place) / "data", password=password, bin=folder, user=user, careless=True)
        try:
            server.start()
            asyncio.run(execute(server.url(), "create database migrated"))
            files = [BASELINE, *sorted(MIGRATIONS.glob("*.sql"))]
            asyncio.run(execute(server.url("migrated"), *(file.read_text() for file in files)))
            write_contract(SHARED)
            write_database(SHARED, Path(place), server.url("migrated"))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
