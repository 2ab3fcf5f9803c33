"""README.md of the stand-in: a stranger who follows it gets what it promises."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import supabase_standin
from rhythmai.local.postgres import free_port
from supabase_standin.gateway import GatewaySettings
from tests.conftest import drop, execute
from tests.docs.blocks import Block, blocks
from tests.docs.shell import Shell

PAGE = Path(supabase_standin.__file__).with_name("README.md")


@pytest.fixture
async def plain_database(postgres):
    await execute(postgres.url(), "create database stranger")
    yield postgres.url("stranger")
    await drop(postgres.url(), "stranger")


@pytest.mark.slow
async def test_the_examples_run(plain_database, tmp_path):
    """Laid on a plain Postgres and started as the page says, it serves both of the page's programs."""
    folder = tmp_path / "home"
    folder.mkdir()
    environment = {"HOME": os.environ["HOME"], "DATABASE_URL": plain_database, "GATEWAY_PORT": str(free_port())}
    with Shell(folder, environment) as shell:
        for block in blocks(PAGE):
            if block.order == "run":
                shell.run(block)
            elif block.order == "start":
                shell.start(block)
            else:
                (folder / block.order.removeprefix("file=")).write_text(block.text)
        assert shell.run(Block("sh", "run", "python example.py", 0)) == "b'Hello!'\n{'id': 1, 'body': 'dawn'}\n"
        said = shell.run(Block("sh", "run", "deno run --quiet --no-lock --allow-env --allow-net example.ts", 0))
    assert '"payload":{"from":"supabase-js"}' in said
    assert said.endswith("Hello!\n")


class Asked(dict):
    """An environment in which everything is "1", and that keeps what it was asked."""

    def __getitem__(self, name):
        return self.setdefault(name, "1")

    def get(self, name, _default=None):
        return self[name]


def test_the_page_names_every_variable():
    """What the settings read is in the table, and nothing else is."""
    GatewaySettings.from_environment(environment := Asked())
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert {word.strip("` ") for row in rows for word in row.split(",")} == environment.keys()
