"""What a GPU run found: one JSON file that is whole after every section, and a table; and the child that finds it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

END_S = 10.0
"""How long a child that has ended its pipe may take to end."""


class Report:
    """Facts by section, and how each section ended."""

    def __init__(self, out: Path, **about: object) -> None:
        self.out, self._about = out, about
        self._sections: dict[str, dict[str, Any]] = {}
        self._started = time.monotonic()

    def began(self, name: str, limit_s: float) -> None:
        self._sections[name] = {"verdict": "running", "limit_s": limit_s, "facts": {}}
        print(f"{name} ...", flush=True)

    def note(self, name: str, facts: dict[str, object]) -> None:
        self._sections[name]["facts"].update(facts)
        self._write()

    def settle(self, name: str, verdict: str, took_s: float, line: str, more: dict[str, object]) -> None:
        known = self._sections.setdefault(name, {"facts": {}})
        self._sections[name] = {"verdict": verdict, "seconds": round(took_s, 2), "line": line, **more} | {
            key: value for key, value in known.items() if key != "verdict"
        }
        print(f"{name}: {verdict} after {took_s:.1f} s: {line}", flush=True)
        self._write()

    def all_ok(self) -> bool:
        return all(section["verdict"] == "ok" for section in self._sections.values())

    def table(self) -> str:
        rows = [("section", "verdict", "seconds", "in short")]
        rows += [(n, s["verdict"], f"{s['seconds']:.1f}", s["line"]) for n, s in self._sections.items()]
        return "\n" + "\n".join(
            f"{name:<12} {verdict:<8} {took:>7}  {line}".rstrip() for name, verdict, took, line in rows
        )

    def _write(self) -> None:
        """All at once: whoever stops us finds either the old file or the new one."""
        whole = {**self._about, "seconds": round(time.monotonic() - self._started, 1), "sections": self._sections}
        part = self.out / "gpu.json.part"
        part.write_text(json.dumps(whole, indent=1) + "\n")
        part.replace(self.out / "gpu.json")


class Watched:
    """A process of its own session that speaks JSON lines through a pipe; what it prints goes to the log."""

    def __init__(self, command: list[str], log: IO[str]) -> None:
        self._pipe, theirs = os.pipe()
        self._child = subprocess.Popen(
            [*command, f"--pipe={theirs}"], stdout=log, stderr=log, pass_fds=[theirs], start_new_session=True
        )
        os.close(theirs)
        self._heard = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """It and all it started are gone afterwards, and with them what they held of the device."""
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        os.close(self._pipe)

    def hear(self, within_s: float) -> dict[str, Any] | None:
        """Its next words, {} when it has ended, None when nothing came in time."""
        ends = time.monotonic() + within_s
        while b"\n" not in self._heard:
            if not select.select([self._pipe], [], [], max(0.0, ends - time.monotonic()))[0]:
                return None
            read = os.read(self._pipe, 1 << 16)
            if not read:
                return {}
            self._heard += read
        line, self._heard = self._heard.split(b"\n", 1)
        said: dict[str, Any] = json.loads(line)
        return said

    def fate(self) -> str:
        """How it ended."""
        try:
            code = self._child.wait(END_S)
        except subprocess.TimeoutExpired:
            return "its pipe alone"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
