"""Merging, as far as it is aiohttp's own; the rest is the contract's."""

from __future__ import annotations

import ast
from pathlib import Path


async def test_every_passing_error_of_a_worker_is_known(db):
    """All codes that workers raise for trouble that may pass count as such in the database."""
    raised = {"unavailable"}
    for file in Path(__file__).parents[2].joinpath("worker").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Unavailable":
                raised |= {word.value.value for word in node.keywords if word.arg == "code"}
    assert "timeout" in raised
    assert [code for code in raised if not await db.fetchval("select queue.may_pass($1)", code)] == []
