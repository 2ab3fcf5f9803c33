"""`rhythmai env`: point a shell at the running local stack."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path | None, typer.Option("--data", help="The data directory of the stack (default: the user's).")]


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
    from rhythmai.errors import NoStack
    from rhythmai.local.home import Home
    from rhythmai.local.stack import default_data

    place = data or default_data()
    running = Home(place).running()
    if running is None:
        raise NoStack(f"No local stack runs on {place}: start it with `rhythmai up`")
    for name, value in running.environment.items():
        print(f"export {name}={shlex.quote(value)}")


def _example() -> Path:
    package = Path(__file__).parent.parent
    installed = package / "env.example"  # in a wheel; a clone has it at its root
    return installed if installed.exists() else package.parent / ".env.example"
