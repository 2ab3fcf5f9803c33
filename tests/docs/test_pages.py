"""What holds for every page: links lead somewhere, commands exist, examples are sorted into run and shown."""

from __future__ import annotations

import re

import pytest
from typer.main import get_command

from rhythmai.cli import app
from tests.docs.blocks import DOCS, blocks

PAGES = [DOCS.parent / "README.md", DOCS.parent / "supabase_standin" / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """A relative link names a file that is there, and a heading of it."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, heading = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in headings}, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page):
    """Every `rhythmai ...` in a block is a command of the console script, with options that it has."""
    commands = get_command(app).commands
    for block in blocks(page):
        if block.language == "python":
            continue  # `from rhythmai import ...` is no command
        for words in re.findall(r"(?:^|\s)rhythmai ([a-z][^|\n]*)", block.text):
            name, *rest = words.split()
            assert name in commands, words
            command = commands[name]
            if rest and rest[0] in getattr(command, "commands", {}):
                command = command.commands[rest[0]]
            known = {option for parameter in command.params for option in parameter.opts}
            assert {word for word in rest if word.startswith("--")} <= known, words


@pytest.mark.parametrize("page", ["hosted.md", "operations.md"])
def test_sql_is_never_only_shown(page):
    """Every SQL example of these pages is executed by a test."""
    assert {block.order for block in blocks(DOCS / page) if block.language == "sql"} <= {"run"}
