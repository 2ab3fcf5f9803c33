"""What to type next."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID


def typed(command: str, data: Path | None) -> str:
    """A command as it reaches the same stack."""
    return f"rhythmai {command}" + (f" --data {shlex.quote(str(data))}" if data else "")


def hint(data: Path | None, commands: Mapping[str, str], *, always: bool = False) -> None:
    """What a command is for, and the command: on stderr, and unless `always` only where somebody sits at it."""
    if always or sys.stderr.isatty():
        for what, command in commands.items():
            print(f"  {what:<13} {typed(command, data)}", file=sys.stderr)


@contextmanager
def goes_on(job_id: UUID, data: Path | None) -> Iterator[None]:
    """Whoever is interrupted in here is told that the job is not."""
    try:
        yield
    except asyncio.CancelledError:
        print("The job goes on without you.", file=sys.stderr)
        hint(data, {"Come back": f"watch {job_id}", "Take it back": f"cancel {job_id}"}, always=True)
        raise
