"""Measures the MMAudio runtime on a GPU, section after section: `bench/gpu.sh [--only SECTION] [--rehearse]`.

A child process (`gpu_child.py`) runs the sections, so that a crash, a hang or a lost device takes one of them along and not
the rest: each has a limit in seconds, and one that fails or is late is told and skipped. OUT (output/) gets gpu.json, which
is written anew after every section, gpu.log with what the child said, and profile.txt. A short table comes last; exits
with 1 unless every section is ok.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from gpu_report import Report, Watched

LIMITS_S = {
    "device": 20,
    "parity": 90,
    "kernels": 40,
    "load": 70,
    "bench": 60,
    "distances": 50,
    "films": 20,
    "capture": 20,
    "alternating": 66,
    "oom_cancel": 30,
    "profile": 20,
}
"""In this order. `load` builds the model for all that come after it; nobody asks for it by name."""
SECTIONS = tuple(name for name in LIMITS_S if name != "load")
LOADED = SECTIONS[SECTIONS.index("bench") :]
START_S = 60.0
"""How long a child may take to begin: importing PyTorch from a cold disk."""
REHEARSAL_PATIENCE = 4.0
"""Limits are as many times longer where a shared CPU does the work."""
TOTAL_S = 352
"""What all sections may take together, whatever each of them may."""


def section(name: str) -> str:
    if name not in SECTIONS:
        raise argparse.ArgumentTypeError(f"{name!r} is no section: choose among {', '.join(SECTIONS)}")
    return name


def sections(names: str) -> list[str]:
    return [section(name) for name in names.split(",")]


def limit(words: str) -> tuple[str, float]:
    name, _, seconds = words.partition("=")
    try:
        return name if name == "load" else section(name), float(seconds)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{words!r} is no limit: write SECTION=SECONDS") from None


class Parser(argparse.ArgumentParser):
    """Refuses in one line."""

    def error(self, message: str) -> None:
        sys.exit(f"gpu.sh: {message}")


def parsed() -> argparse.Namespace:
    parser = Parser(prog="bench/gpu.sh", description=__doc__)
    parser.add_argument(
        "--only", type=sections, action="extend", default=[], metavar="SECTION", help=", ".join(SECTIONS)
    )
    parser.add_argument("--limit", type=limit, action="append", default=[], metavar="SECTION=SECONDS")
    parser.add_argument("--total", type=float, default=TOTAL_S, metavar="SECONDS", help="for everything together")
    parser.add_argument("--rehearse", action="store_true", help="tiny, on the CPU, without what a GPU machine lacks")
    return parser.parse_args()


class Run:
    """The sections that are left, and the children that run them."""

    def __init__(self, asked: argparse.Namespace, report: Report, log: Path) -> None:
        self._asked, self._report, self._log = asked, report, log
        patience = REHEARSAL_PATIENCE if asked.rehearse else 1.0
        self._limits = {name: patience * limit_s for name, limit_s in LIMITS_S.items()} | dict(asked.limit)
        self._left = [name for name in SECTIONS if not asked.only or name in asked.only]
        self._ends = time.monotonic() + patience * asked.total

    def __call__(self) -> None:
        while self._left:
            with self._log.open("a") as log, Watched(self._command(), log) as child:
                self._follow(child)

    def _command(self) -> list[str]:
        options = ["--rehearse"] * self._asked.rehearse
        return [
            sys.executable,
            str(Path(__file__).with_name("gpu_child.py")),
            *options,
            str(self._report.out),
            *self._left,
        ]

    def _follow(self, child: Watched) -> None:
        """Until the child ends or has to be ended."""
        name = self._left[0]
        began, ends, limit_s = time.monotonic(), self._until(START_S), START_S
        while (said := child.hear(ends - time.monotonic())) is not None:
            match said:
                case {"began": str(name)}:
                    limit_s = self._limits[name]
                    began, ends = time.monotonic(), self._until(limit_s)
                    self._report.began(name, limit_s)
                case {"note": dict(facts)}:
                    self._report.note(name, facts)
                case {"ended": verdict, "line": line, **more}:
                    self._settle(name, verdict, time.monotonic() - began, line, more)
                    if not self._left:
                        return
                case _:
                    self._settle(name, "crashed", time.monotonic() - began, f"the process ended: {child.fate()}")
                    return
        took, total = time.monotonic() - began, time.monotonic() >= self._ends
        words = "no time was left for all of it" if total else f"longer than {limit_s:g} s"
        self._settle(name, "late", took, f"{words}; what came before is kept")
        if total:
            for name in list(self._left):
                self._settle(name, "skipped", 0.0, "no time was left")

    def _until(self, limit_s: float) -> float:
        return min(time.monotonic() + limit_s, self._ends)

    def _settle(self, name: str, verdict: str, took_s: float, line: str, more: dict[str, object] | None = None) -> None:
        self._report.settle(name, verdict, took_s, line, more or {})
        if name in self._left:
            self._left.remove(name)
        elif name == "load" and verdict != "ok":
            for needy in [each for each in self._left if each in LOADED]:
                self._settle(needy, "skipped", 0.0, "the model could not be loaded")


def revision() -> str | None:
    """Of the code, where it is a checkout."""
    try:
        found = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return found.stdout.strip() or None


def main() -> int:
    asked = parsed()
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit("gpu.sh: stopped")
    )  # and the child, which has a session of its own
    out = Path(os.environ.get("OUT") or "output")
    out.mkdir(parents=True, exist_ok=True)
    log = out / "gpu.log"
    log.write_text("")
    report = Report(
        out,
        command=" ".join(["bench/gpu.sh", *sys.argv[1:]]),
        began=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
        revision=revision(),
        rehearsal=asked.rehearse,
        python=platform.python_version(),
    )
    Run(asked, report, log)()
    print(report.table())
    return 0 if report.all_ok() else 1


if __name__ == "__main__":
    sys.exit(main())
