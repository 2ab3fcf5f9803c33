"""Rows for people (aligned columns, one line a row when not in a terminal) or, with --json, for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def show_json(value: Any) -> None:
    """Times as ISO 8601, ids as text."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def show(rows: Sequence[Mapping[str, object]], empty: str) -> None:
    """Columns are the keys of the rows; `empty` is said when there is none."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        print(empty)
        return
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=10_000)  # never wrapped: lines are for grep
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        table.add_column(name.upper(), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_printable(value)) for value in row.values()))
    console.print(table)


def age(since: datetime | None) -> str:
    """How long ago, in one unit: "12 s", "3 min", "5 h", "2 d"."""
    if since is None:
        return "-"
    seconds = max(0, (datetime.now(UTC) - since).total_seconds())
    for unit, length_s in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds:.0f} s"


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _printable(value: object) -> str:
    # What comes from strangers cannot move the cursor.
    return "".join(letter if letter.isprintable() else " " for letter in str("-" if value is None else value))
