"""What stands for a hosted project: databases, poolers, the console script as a person calls it."""

from __future__ import annotations

import asyncio
import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from typer.main import get_command

from rhythmai.cli import main
from tests.conftest import MIGRATIONS, copied
from tests.hosted.gateway import running_gateway
from tests.hosted.pooler import Pooler
from tests.hosted.supabase_cli import SupabaseCLI
from tests.hosted.tls import make_certificates

COMMAND = functools.cache(get_command)
"""Read from the signatures once, and not at each call."""


@dataclass(frozen=True)
class Said:
    """How a call of the console script ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def rhythmai(monkeypatch, capsys, tmp_path):
    """Calls the console script, in an empty folder, with this environment."""
    (tmp_path / "empty").mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setattr("typer.main.get_command", COMMAND)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def call(*arguments: str, **environment: str) -> Said:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["rhythmai", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        return Said(code, *capsys.readouterr())

    return call


@pytest.fixture
def sql():
    """Runs one statement on a database and returns its rows."""

    def run(url: str, statement: str, *arguments: object) -> list[asyncpg.Record]:
        async def fetch():
            connection = await asyncpg.connect(url)
            try:
                return await connection.fetch(statement, *arguments)
            finally:
                await connection.close()

        return asyncio.run(fetch())

    return run


@pytest.fixture
def empty_database(postgres):
    """The URL of a plain, empty database."""
    with copied(postgres, "template1") as url:
        yield url


@pytest.fixture(scope="session")
def pooler(postgres):
    """pgbouncer in transaction mode before the tests' Postgres."""
    with Pooler(postgres.url()) as running:
        yield running


@pytest.fixture(scope="session")
def certificates():
    """An authority and a server's certificate, readable for the pooler, which runs as another user when we are root."""
    folder = Path(tempfile.mkdtemp(prefix="rhythmai-tls-"))
    folder.chmod(0o755)
    made = make_certificates(folder)
    made.key.chmod(0o644)
    yield made
    shutil.rmtree(folder)


@pytest.fixture
def supabase_cli(tmp_path):
    """The CLI in a folder with our migrations."""
    shutil.copytree(MIGRATIONS, tmp_path / "project" / "supabase" / "migrations")
    return SupabaseCLI(tmp_path / "project")


@pytest.fixture(scope="module")
def gateway(database_url, tmp_path_factory):
    """Realtime and Storage over the module's database."""
    with running_gateway(database_url, tmp_path_factory.mktemp("storage")) as running:
        yield running
