"""`rhythmai env`: point a shell at the running local stack."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from rhythmai.commands.arguments import Data


def env(
    example: Annotated[
        bool, typer.Option("--example", help="Print .env.example instead: every variable with its default.")
    ] = False,
    data: Data = None,
) -> None:
    """Print how to reach the running local stack.

    As shell assignments, for: eval "$(rhythmai env)"
    """
    if example:
        print(_example().read_text(), end="")
        return
    from rhythmai.nearby import nearby

    for name, value in nearby(data).environment.items():
        print(f"export {name}={shlex.quote(value)}")


def _example() -> Path:
    package = Path(__file__).parent.parent
    installed = package / "env.example"  # in a wheel; a clone has it at its root
    return installed if installed.exists() else package.parent / ".env.example"
