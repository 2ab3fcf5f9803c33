"""Rows for people (aligned columns, one line a row when not in a terminal) or, with --json, for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def show_json(value: Any) -> None:
    """Times as ISO 8601, ids as text."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def show(rows: Sequence[Mapping[str, object]], empty: str) -> None:
    """Columns are the keys of the rows; `empty` is said when there is none."""
    from rich.console import Console

    if not rows:
        print(empty)
        return
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=10_000)  # never wrapped: lines are for grep
    console.print(grid(rows))


def grid(rows: Sequence[Mapping[str, object]]) -> Table:
    """The rows as rich draws them; there is at least one."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        table.add_column(name.upper(), overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain_text(value)) for value in row.values()))
    return table


def age(since: datetime | None) -> str:
    """How long ago, in one unit."""
    return seconds(None if since is None else max(0, (datetime.now(UTC) - since).total_seconds()))


def seconds(count: float | None) -> str:
    """A time in one unit: "12 s", "3 min", "5 h", "2 d"."""
    if count is None:
        return "-"
    for unit, length_s in (("d", 86400), ("h", 3600), ("min", 60)):
        if count >= 2 * length_s:
            return f"{count / length_s:.0f} {unit}"
    return f"{count:.0f} s"


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def plain_text(value: object) -> str:
    """What comes from strangers cannot move the cursor."""
    return "".join(letter if letter.isprintable() else " " for letter in str("-" if value is None else value))
