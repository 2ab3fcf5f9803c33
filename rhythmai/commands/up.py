"""`rhythmai up`: the local stack in the foreground."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from rhythmai.commands.arguments import Data
from rhythmai.commands.hints import typed
from rhythmai.commands.running import command
from rhythmai.table import plain_text

STYLES: Final = {
    "postgres": "blue", "api": "green", "gateway": "cyan", "worker": "magenta", "warning": "yellow", "error": "bold red",
}  # fmt: skip
WORDS: Final = {
    "worker.ready": "ready to compose with {engine}",
    "job.started": "job {job} begins",
    "result.ready": 'job {job}: "{title}" is ready',
    "job.completed": "job {job} is completed after {seconds[total]:.1f} s",
    "job.failed": "job {job} failed: {error}",
    "job.released": "job {job} goes back to the queue",
}
"""How people are told the events of each day; of others they get the name and the values."""
UNTOLD: Final = frozenset({"request", "api.listening", "Listening", "gateway.ready", "metrics.served"})
"""What people are not told: a line a request, and the ports behind the front port."""
ASIDE: Final = frozenset({"event", "timestamp", "level", "trace_id", "request_id", "worker", "exception"})


@command
async def up(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The front port: page, API, Realtime, Storage.")] = 54321,
    db_port: Annotated[int, typer.Option(min=1, max=65535, help="The port of Postgres.")] = 54322,
    data: Data = None,
    sql: Annotated[list[Path] | None, typer.Option(help="Extra SQL to run at start; may be repeated.")] = None,
) -> None:
    """Run everything on this machine until Ctrl-C.

    Postgres, Realtime, Storage, API and a worker, on loopback only. The data stay for the next time. Lines are for people
    in a terminal and JSON elsewhere; what is said of each request is in the log files alone.
    """
    from rhythmai.local.home import Home
    from rhythmai.local.stack import default_data, local_stack

    place = data or default_data()
    people = sys.stdout.isatty()
    tell = _for_people() if people else _for_programs
    tell("stack", f"starting on {place} ...")
    try:
        async with local_stack(place, port=port, db_port=db_port, scripts=sql or [], echo=tell) as running:
            if people:
                print(
                    f"\nRhythmAI runs. Ctrl-C stops it; the data in {place} stay.\n\n"
                    f"  Page, API, Realtime, Storage   {running.url}\n"
                    f"  Health                         {running.url}/healthz\n"
                    f"  Database                       {running.environment['DATABASE_URL']}\n"
                    f"  Logs                           {Home(place).logs}\n"
                    f'  Point any program at it        eval "$({typed("env", data)})"\n'
                    f"  Make music                     {typed('submit VIDEO', data)}\n",
                    flush=True,
                )
            else:
                tell("stack", json.dumps({"event": "stack.ready", "url": running.url, "data": str(place)}))
            try:
                await asyncio.Event().wait()
            finally:
                tell("stack", "stopping ...")
    except asyncio.CancelledError:
        tell("stack", "stopped")


def _for_programs(child: str, line: str) -> None:
    event = {"child": child, "timestamp": datetime.now(UTC).isoformat()} | _event(line)
    if event["event"] != "request":
        print(json.dumps(event, ensure_ascii=False), flush=True)


def _for_people() -> Callable[[str, str], None]:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)

    def tell(child: str, line: str) -> None:
        event = _event(line)
        if event["event"].partition(" ")[0] in UNTOLD:
            return
        try:
            words = WORDS[event["event"]].format_map(event)
        except (LookupError, ValueError, TypeError):
            values = [f"{name}={value}" for name, value in event.items() if name not in ASIDE]
            raised = [f"{one['exc_type']}: {one['exc_value']}" for one in event.get("exception", [])]
            words = " ".join([event["event"], *values, *raised])
        # Titles come from models and strangers: none of them moves the cursor.
        told = Text(plain_text(words), STYLES.get(event.get("level", ""), ""))
        console.print(Text(f"{child:<9}", STYLES.get(child, "")) + told, soft_wrap=True)

    return tell


def _event(line: str) -> dict[str, Any]:
    """What a child said; what is no JSON is an event by its words."""
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    return said if isinstance(said, dict) and isinstance(said.get("event"), str) else {"event": line}
