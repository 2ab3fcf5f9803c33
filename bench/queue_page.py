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
        unit = "" if label.startswith("jobs/s") or "µs" in label else " (ms)"
        lines.append(f"| {label}{unit} | " + " | ".join(shown(figures[name]) for name in systems) + " |")
    return "\n".join(lines)


def rules(found: dict[str, dict[str, float]]) -> str:
    """What each rule costs, and last what all takes, in microseconds."""
    statements = list(found[""])
    lines = ["| µs of Postgres | " + " | ".join(statements) + " |", "|---" * (len(statements) + 1) + "|"]
    for rule, figures in sorted(found.items(), key=lambda item: item[0] == ""):
        cells = (f"{figures[label]:.1f}" if label in figures else "" for label in statements)
        lines.append(f"| {rule or 'everything'} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def behind(cells: dict[str, dict[str, dict[str, float]]]) -> str:
    """The cells in which a peer is ahead of us, and how far."""
    lines = []
    for label in next(iter(cells.values())):
        more_is_better = label.startswith("jobs/s")
        found = []
        for finished, by_label in cells.items():
            ours = by_label[label]["rhythmai"]
            for peer in ("procrastinate", "pgqueuer"):
                ratio = by_label[label][peer] / ours if more_is_better else ours / by_label[label][peer]
                if ratio > 1:
                    found.append(f"{peer} {ratio:.1f} x at {int(finished):,}")
        if found:
            lines.append(f"- {label}: {', '.join(found)}")
    return "\n".join(lines) or "In none."


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
                f"### {int(finished):,} finished\n\n{table(cells, systems)}"
                for finished, cells in report["cells"].items()
            ),
            behind=behind(report["cells"]),
            snapshot=table(report["snapshot"], systems),
            join50=report["join p50"],
            join99=report["join p99"],
            rules=rules(report["rules"]),
            plans="\n".join(f"### {title}\n\n```\n{plan}\n```\n" for title, plan in report["plans"]),
        )
    )


TEXT = """# The queue, measured

`python bench/queues.py` writes this page and `bench/queue.json`. {day}, Postgres {version} (embedded, fsync off), {machine},
shared with other work: differences under 20 % mean little, and each figure but the
pick-ups is the best of its rounds. Peers in the same run on the same server, in turns:
{peers}. "bare" is one `update ... for update skip locked` on one small table: the floor, no fence, no fairness, no events.

- **pick-up**: from before the insert until the work begins in an idle worker of the system's own, which waits on LISTEN.
- **insert**: one job through the system's client (ours: `queue.submit`, as the API calls it, with flood guard and hash);
  **plain SQL**: one `insert`. **of 10,000**: at once, of 1,000 owners; as the client does it (ours in the order of owners,
  pgqueuer with its log), and as a plain `insert ... select` whose owners take turns.
- **Postgres µs**: processor time of the backends for the same, which hardly depends on what else the machine does.
- **jobs/s**: claimed and completed one by one, a connection a consumer, from {pending} pending jobs of 1,000 owners.

{tables}

### Where a peer is ahead

{behind}

### A forgotten transaction

Nothing can be vacuumed while 5,000 jobs are claimed and completed.

{snapshot}

## What our rules cost

Of these the peers have a notification, their own indexes and, procrastinate, its events. The same statements in databases that lack
one rule each, in turns: processor time of the backend, the least of many. An insert has no claim, and a claim no insert: what such a
cell shows is noise, up to 25 µs on a busy machine.

{rules}

## Fairness and access

- **Fairness**: A backfills 3,000 jobs; B's one job in the same lane waits for {waited} of them (first in, first out: 2,990).
- **Joins**: may this user watch this topic, asked through the policy on realtime.messages: p50 {join50:.2f} ms, p99 {join99:.2f} ms.

## Plans

Generic plans, as plpgsql caches them, after the run above. `tests/database/test_plans.py` keeps them.

{plans}"""
