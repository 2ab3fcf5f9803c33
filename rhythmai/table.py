"""Rows for people, a line each, or, with --json, for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def show_json(value: Any) -> None:
    """Times as ISO 8601, ids as text."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def show(rows: Sequence[Mapping[str, object]], empty: str, least: int = 20) -> None:
    """Columns are the keys of the rows; `empty` is said when there is none."""
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    # Softly wrapped: what is wider than a terminal is broken by the terminal, which copies it whole.
    console.print(grid(rows, fitting(console), least) if rows else empty, soft_wrap=True)


def fitting(console: Console) -> int:
    """How many columns a line has; elsewhere than in a terminal nothing is shortened: lines are for grep."""
    return console.width if console.is_terminal else 10_000


def grid(rows: Sequence[Mapping[str, object]], width: int, least: int = 20) -> Text:
    """A header and a line a row; there is at least one row.

    The columns go from the most to the least important, and last comes a text. What leaves it less than `least` is left out, the
    least important first; then the text is shortened. Nothing else ever is: an id is whole or not there. The first two stay.
    """
    from rich.cells import cell_len, set_cell_size
    from rich.text import Text

    lines = [[name.upper() for name in rows[0]], *([plain_text(value) for value in row.values()] for row in rows)]
    *widths, last = (max(map(cell_len, column)) for column in zip(*lines, strict=True))
    while len(widths) > 2 and sum(widths) + 2 * len(widths) + min(last, least) > width:
        widths.pop()
    room = max(width - sum(widths) - 2 * len(widths), 1)
    told = []
    for *cells, text in lines:
        end = text if cell_len(text) <= room else set_cell_size(text, room - 1) + "\N{HORIZONTAL ELLIPSIS}"
        told.append("  ".join([*map(set_cell_size, cells, widths), end]).rstrip())
    return Text("\n").join([Text(told[0], "bold"), Text("\n".join(told[1:]))])


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
