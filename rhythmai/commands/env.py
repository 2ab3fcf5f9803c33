"""`rhythmai env`: point a shell at the running local stack."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path | None, typer.Option("--data", help="The data directory of the stack (default: the user's).")]


def env(data: Data = None) -> None:
    """Print how to reach the running local stack.

    As shell assignments, for: eval "$(rhythmai env)"
    """
    from rhythmai.errors import NoStack
    from rhythmai.local.home import Home
    from rhythmai.local.stack import default_data

    place = data or default_data()
    running = Home(place).running()
    if running is None:
        raise NoStack(f"No local stack runs on {place}: start it with `rhythmai up`")
    for name, value in running.environment.items():
        print(f"export {name}={shlex.quote(value)}")
