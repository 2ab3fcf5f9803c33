"""What the tests of the edge function share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from deno import find_deno_bin

from tests.contract.conftest import silent
from tests.contract.hosts import Host
from tests.contract.keys import SECRET, SERVICE_KEY, USED

FUNCTIONS = Path(__file__).parents[2] / "supabase" / "functions"


@pytest.fixture
def deno() -> Callable[..., Awaitable[tuple[int, str]]]:
    """Runs Deno in supabase/functions; returns its exit code and what it said."""

    async def deno(*arguments: object) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            find_deno_bin(), *map(str, arguments), cwd=FUNCTIONS, env=os.environ | {"NO_COLOR": "1"},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    return deno


@pytest.fixture
def start(tmp_path, database_url) -> Iterator[Callable[..., Host]]:
    """Starts the function from this file with these settings."""
    hosts: list[Host] = []

    def start(function: Path, **settings: str) -> Host:
        USED.add(urlsplit(database_url).password)
        given = {
            "SUPABASE_URL": "https://ref.supabase.co",
            "SUPABASE_DB_URL": database_url,
            "SUPABASE_KEY": SERVICE_KEY,
        }
        hosts.append(Host("function", tmp_path, function, **given | {"JWT_SECRET": SECRET} | settings))
        return hosts[-1]

    yield start
    for host in hosts:
        silent(host)
