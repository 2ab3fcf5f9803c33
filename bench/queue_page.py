"""bench/queue.md and bench/queue.json: how the figures of bench/queues.py are shown."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def shown(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}"


def table(cells: dict[str, dict[str, float]], systems: list[str]) -> str:
    """One row a label, one column a system."""
    lines = ["| | " + " | ".join(systems) + " |", "|---" * (len(systems) + 1) + "|"]
    for label, figures in cells.items():
        unit = "" if label.startswith("jobs/s") else " (ms)"
        lines.append(f"| {label}{unit} | " + " | ".join(shown(figures[name]) for name in systems) + " |")
    return "\n".join(lines)


def write(folder: Path, report: dict[str, Any], *, systems: list[str], peers: list[str], pending: int) -> None:
    report["day"] = datetime.now(UTC).date().isoformat()
    report["machine"] = f"{os.cpu_count()} CPUs ({platform.machine()})"
    (folder / "queue.json").write_text(json.dumps({k: v for k, v in report.items() if k != "plans"}, indent=1) + "\n")
    (folder / "queue.md").write_text(
        TEXT.format(
            **{key: report[key] for key in ("day", "machine", "version", "waited")},
            peers=", ".join(peers),
            pending=f"{pending:,}",
            tables="\n\n".join(
                f"### {finished:,} finished\n\n{table(cells, systems)}" for finished, cells in report["cells"].items()
            ),
            snapshot=table(report["snapshot"], systems),
            join50=report["join p50"],
            join99=report["join p99"],
            rules=(folder / "queue_rules.md").read_text(),
            plans="\n".join(f"### {title}\n\n```\n{plan}\n```\n" for title, plan in report["plans"]),
        )
    )


TEXT = """"""
