"""The soak's page: what was done, what was measured, and whether it is flat."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.soak_end import End
from bench.soak_plot import plot
from bench.soak_samples import Sample
from bench.soak_verdict import Line, Return, last_two_thirds, returned

MEMORY = {
    "worker.rss_mb": "worker, resident", "api.rss_mb": "API, resident", "gateway.rss_mb": "stand-in's gateway, resident",
    "stack.rss_mb": "supervisor, resident", "postgres.own_mb": "Postgres, all processes, without shared memory",
}  # fmt: skip
COUNTS = {
    "worker.fds": "worker: descriptors", "worker.sockets": "worker: sockets", "worker.threads": "worker: threads",
    "children.processes": "worker: children", "api.fds": "API: descriptors", "api.sockets": "API: sockets",
    "api.threads": "API: threads", "gateway.fds": "gateway: descriptors", "gateway.sockets": "gateway: sockets",
    "gateway.threads": "gateway: threads", "stack.fds": "supervisor: descriptors", "files.scratch": "temporary files and folders",
    "files.partial": "half uploads", "db.connections": "connections to Postgres", "db.slots": "replication slots",
}  # fmt: skip
EXECUTOR = min(32, (os.cpu_count() or 1) + 4)
"""Threads that asyncio keeps for blocking calls once it began them."""
KEPT = {"worker.threads": 4 + EXECUTOR, "api.threads": 1 + EXECUTOR, "gateway.threads": 1 + EXECUTOR}
"""Beside those: the program's own thread, and the worker's heartbeat, engine and metrics."""
CHARTS = {
    "Resident memory (MB)": ("worker.rss_mb", "api.rss_mb", "gateway.rss_mb", "stack.rss_mb"),
    "Postgres, memory of its own (MB)": ("postgres.own_mb",),
    "Descriptors": ("worker.fds", "api.fds", "gateway.fds", "stack.fds"),
    "Connections to Postgres": (
        "db.connections", "db.connections of worker", "db.connections of api", "db.connections of gateway",
    ),
    "Temporary files, children of the worker": ("files.scratch", "files.partial", "children.processes"),
    "Jobs": ("jobs.waiting", "jobs.running"),
    "Database (MB)": ("db.queue_mb", "db.stand_in_mb", "db.kept_wal_mb"),
    "Dead rows": ("db.dead_rows",),
}  # fmt: skip
TOLD = {
    "jobs.waiting": "jobs that wait", "db.dead_rows": "dead rows", "db.queue_mb": "queue's tables (MB)",
    "db.stand_in_mb": "stand-in's tables (MB)", "db.kept_wal_mb": "log kept for slots (MB)",
    "db.oldest_transaction_s": "oldest transaction (s)", "files.logs_mb": "logs (MB)", "files.stored_mb": "Storage (MB)",
}  # fmt: skip
SHOWN = sorted({"t_s", "machine.load", *MEMORY, *COUNTS, *TOLD, *(name for names in CHARTS.values() for name in names)})
"""What of the samples is kept."""


@dataclass(kw_only=True)
class Record:
    """Everything that was seen: samples with their phase (`warm-up`, `quiet before`, `load`, `quiet after`), and what was done."""

    seconds: float
    command: str
    machine: str
    samples: list[tuple[str, Sample]] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    quiet_s: float = 0.0
    """How long it was quiet at the end until all was given back, or given up."""

    def column(self, name: str, phase: str) -> list[float]:
        return [sample[name] for found, sample in self.samples if found == phase]

    @property
    def memory(self) -> dict[str, Line]:
        times = self.column("t_s", "load")
        return {name: last_two_thirds(times, self.column(name, "load")) for name in MEMORY}

    @property
    def counts(self) -> dict[str, Return]:
        return {
            name: returned(
                *(self.column(name, phase) for phase in ("quiet before", "load", "quiet after")), KEPT.get(name, 0)
            )
            for name in COUNTS
        }

    @property
    def flat(self) -> bool:
        return all(line.word != "grows" for line in self.memory.values()) and all(c.back for c in self.counts.values())

    def picture(self) -> str:
        times = [sample["t_s"] for _, sample in self.samples]
        phases, before = [], ""
        for phase, sample in self.samples:
            if phase != before:
                phases.append((sample["t_s"], phase))
            before = phase
        charts = {
            title: {name.removesuffix("_mb"): [sample[name] for _, sample in self.samples] for name in names}
            for title, names in CHARTS.items()
        }
        return plot(times, charts, phases)

    def as_json(self, end: End) -> dict[str, Any]:
        return {
            "seconds": self.seconds, "command": self.command, "machine": self.machine, "end": asdict(end), "flat": self.flat,
            "done": dict(self.done), "ends": dict(self.ends), "wrong": self.wrong[:50],
            "memory": {name: asdict(line) | {"word": line.word} for name, line in self.memory.items()},
            "counts": {name: asdict(count) | {"back": count.back} for name, count in self.counts.items()},
            "phases": [phase for phase, _ in self.samples],
            "series": {name: [round(sample[name], 1) for _, sample in self.samples] for name in SHOWN},
        }  # fmt: skip

    def page(self, end: End) -> str:
        minutes, loads = self.seconds / 60, self.column("machine.load", "load")
        told = " ".join(f"{name}={value}" for name, value in asdict(end).items())
        return TEXT.format(
            minutes=f"{minutes:g}", command=self.command, machine=self.machine,
            load=f"{min(loads):.1f} to {max(loads):.1f}", told=told,
            a_minute=f"{sum(self.ends.values()) / minutes:.0f}", jobs=end.jobs, verdict=self._sentence(end),
            done=_listed(self.done), ends=_listed(self.ends), memory=self._memory_table(), counts=self._counts_table(),
            rest=self._told_table(), quiet=f"{self.quiet_s:.0f}", worker_threads=KEPT["worker.threads"],
            api_threads=KEPT["api.threads"],
        )  # fmt: skip

    def _sentence(self, end: End) -> str:
        grown = [MEMORY[name] for name, line in self.memory.items() if line.word == "grows"]
        drifts = [MEMORY[name] for name, line in self.memory.items() if line.word == "drifts"]
        unsteady = [MEMORY[name] for name, line in self.memory.items() if line.word == "unsteady"]
        held = [COUNTS[name] for name, count in self.counts.items() if not count.back]
        said = ["Nothing was lost." if end.sound else "Not everything ended as it should."]
        said.append(f"Memory grows: {', '.join(grown)}." if grown else "No program's memory grows.")
        if drifts:
            said.append(f"Some drifts, within the bounds: {', '.join(drifts)}.")
        if unsteady:
            said.append(f"Unsteady beyond the bounds, which may be chance: {', '.join(unsteady)}.")
        said.append(f"Not given back: {', '.join(held)}." if held else "All that was opened was given back.")
        return " ".join(said)

    def _memory_table(self) -> str:
        rows = [
            "| MB | quiet before | mean under load | rise of the line | an hour | t | quiet after | |",
            "|---" * 8 + "|",
        ]
        for name, title in MEMORY.items():
            line, before, after = (
                self.memory[name],
                *(self.column(name, f"quiet {when}") for when in ("before", "after")),
            )
            rows.append(
                f"| {title} | {before[-1]:.1f} | {line.mean:.1f} | {line.rise:+.1f} | {line.per_hour:+.1f} | {line.t:+.1f} | {after[-1]:.1f} | {line.word} |"
            )
        return "\n".join(rows)

    def _counts_table(self) -> str:
        rows = ["| | quiet before | median under load | quiet after | |", "|---" * 5 + "|"]
        for name, title in COUNTS.items():
            count = self.counts[name]
            word = "back" if count.back else "not back"
            rows.append(f"| {title} | {count.before:g} | {count.under_load:g} | {count.after:g} | {word} |")
        return "\n".join(rows)

    def _told_table(self) -> str:
        rows = ["| | a third into the load | two thirds | at its end | most |", "|---" * 5 + "|"]
        for name, title in TOLD.items():
            values = self.column(name, "load")
            cells = (values[len(values) // 3], values[2 * len(values) // 3], values[-1], max(values))
            rows.append(f"| {title} | " + " | ".join(f"{value:,.1f}" for value in cells) + " |")
        return "\n".join(rows)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=_most))


def _most(item: Sequence[Any]) -> tuple[int, str]:
    return -item[1], item[0]


TEXT = """# Soak

`{command}` writes this page, [soak.json](soak.json) and the picture: {minutes} minutes of mixed load on the local stack.
{machine}; load average {load}.

**{verdict}**

```text
soak: {told}
```

![what the stack held over time](soak.svg)

## What ran

The stack is that of `rhythmai up` (worker with three slots, API, gateway, Postgres) with ENGINE=sketch; only the addresses of loopback are
opened to the worker, since the sites of strangers, the director (a moody model) and the callbacks (three first tries in ten are answered
500) stand there. Visitors in a closed loop each do one thing, follow it to its end by polling, by events or by Realtime, and rest:
{a_minute} ends a minute, {jobs} jobs in all. Watchers beside them come, do not read, and leave without a word.
A `rhythmai purge --older-than 4m` runs now and then.

- done: {done}
- ends: {ends}

## Memory

A line by least squares over the last two thirds of the load. It *grows* if it rises by more than 5 % of the mean and by more
than 10 MB over that span and this is no chance (t > 3, with as many independent samples as their correlation leaves); less than that but
significant *drifts*, as much but maybe chance is *unsteady*. The quiet columns are the last samples of the quiet minute after the warm-up and of the quiet time at the end.

{memory}

What drifts in API and gateway is free space in the C library's heap, nothing that is held: in seven minutes of the same load with
`mallinfo2` read every ten seconds (2026-11-26, two cores of a shared machine) the bytes in use stayed between 18.0 and 18.3 MB in the
API and between 11.9 and 13.4 MB in the gateway, Python's blocks at 366 to 370 and 235 to 237 thousand, while the free bytes between them
went from 2.4 to 5.8 and from 4.9 to 8.9 MB. How far that goes in days was not tried.

That the judge sees a leak was tried with one: a worker that kept a descriptor, a temporary file and 4 MB of each job failed a run of one
minute (`--seconds 60`) in all three places.

## Counts

After {quiet} s of quiet at the end a count may not be above that of the quiet minute after the warm-up. (A connection that a pool holds
and nobody uses goes after five minutes, one that HTTP keeps alive after 75 s.) Threads may stay up to the sizes of their pools, which keep
what they began: {worker_threads} in the worker, {api_threads} in API and gateway.

{counts}

## Not judged

{rest}
"""
