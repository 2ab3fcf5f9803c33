"""The local stack that runs on this machine, for whoever's environment names nothing else."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from rhythmai.errors import NoStack

if TYPE_CHECKING:
    from rhythmai.local.home import Running


def nearby(data: Path | None, variable: str = "") -> Running:
    """The stack over a data directory (default: the user's). Raises NoStack, which names the variable to set instead, if any."""
    try:
        from rhythmai.local.home import Home
        from rhythmai.local.stack import default_data
    except ModuleNotFoundError:
        unset = f"{variable} is not set (`rhythmai env --example` shows every variable), and " if variable else ""
        raise NoStack(f"{unset}the local stack is not installed: pip install 'rhythmai[local]'") from None

    place = data or default_data()
    if running := Home(place).running():
        return running
    if data or not variable:
        option = f" --data {shlex.quote(str(data))}" if data else ""
        raise NoStack(f"No local stack runs on {place}: start one with `rhythmai up{option}`")
    raise NoStack(f"{variable} is not set and no local stack runs on {place}: set it, or start one with `rhythmai up`")
