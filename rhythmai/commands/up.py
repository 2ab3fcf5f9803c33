"""`rhythmai up`: the local stack in the foreground."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from rhythmai.commands.env import Data
from rhythmai.commands.running import run

COLOURS = {"postgres": 34, "api": 32, "gateway": 36, "worker": 35}


def up(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The front port: page, API, Realtime, Storage.")] = 54321,
    db_port: Annotated[int, typer.Option(min=1, max=65535, help="The port of Postgres.")] = 54322,
    data: Data = None,
    sql: Annotated[list[Path] | None, typer.Option(help="Extra SQL to run at start; may be repeated.")] = None,
) -> None:
    """Run everything on this machine until Ctrl-C.

    Postgres, Realtime, Storage, API and a worker, on loopback only. The data stay for the next time.
    """
    from rhythmai.local.stack import default_data

    place = data or default_data()
    run(_serve(place, port, db_port, sql or []))


async def _serve(data: Path, port: int, db_port: int, scripts: list[Path]) -> None:
    from rhythmai.local.stack import default_data, local_stack

    print(f"Starting on {data} ...", flush=True)
    try:
        async with local_stack(data, port=port, db_port=db_port, scripts=scripts, echo=_echo) as running:
            option = "" if data == default_data() else f" --data {data}"
            print(
                f"\nRhythmAI runs. Ctrl-C stops it; the data in {data} stay.\n\n"
                f"  Page, API, Realtime, Storage   {running.url}\n"
                f"  Health                         {running.url}/healthz\n"
                f"  Database                       {running.environment['DATABASE_URL']}\n"
                f'  Point any program at it        eval "$(rhythmai env{option})"\n'
                f"  Make music                     rhythmai submit VIDEO{option}\n",
                flush=True,
            )
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        print("Stopped.", flush=True)


def _echo(child: str, line: str) -> None:
    name = f"{child:<8}"
    if sys.stdout.isatty():
        name = f"\033[{COLOURS.get(child, 0)}m{name}\033[0m"
    print(f"{name} | {line}", flush=True)
