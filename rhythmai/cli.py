"""The console script `rhythmai`. Commands import what they need when they run: `rhythmai --help` answers at once."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from rhythmai.commands import (
    brief,
    demo,
    doctor,
    env,
    fit,
    jobs,
    keys,
    mcp,
    migrate,
    models,
    operators,
    provenance,
    purge,
    roles,
    top,
    tracks,
    up,
)
from rhythmai.errors import RhythmAIError
from rhythmai.loopback import past_the_proxy
from rhythmai.project.extras import what_to_install

app = typer.Typer(
    name="rhythmai",
    help="Background music for a video: several different, mastered tracks, live, one by one.\n\n"
    "Where API_URL or DATABASE_URL is not set, the local stack that runs is meant.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
PANELS = {
    "This machine": (demo.demo, up.up, env.env, doctor.doctor, fit.fit, provenance.provenance),
    "Music, over API_URL": (
        jobs.submit, brief.brief, jobs.watch, tracks.download, tracks.merge, tracks.pack, jobs.again, jobs.cancel, jobs.delete, mcp.mcp,
    ),
    "For operators, over DATABASE_URL": (
        migrate.migrate, roles.roles, roles.worker_key, top.top, operators.workers, operators.drain, operators.jobs, operators.retry, purge.purge,
    ),
}  # fmt: skip
for panel, commands in PANELS.items():
    for work in commands:
        app.command(rich_help_panel=panel)(work)
app.add_typer(models.app, name="models", rich_help_panel="This machine")
app.add_typer(keys.app, name="keys", rich_help_panel="For operators, over DATABASE_URL")


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"rhythmai {version('rhythmai')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


def main() -> None:
    """Run the console script; an error made on purpose is one line and exit code 1."""
    os.environ |= past_the_proxy(os.environ)  # libraries read it there, in this process and in the children of a stack
    try:
        app()
    except RhythmAIError as error:
        print(f"rhythmai: {error}", file=sys.stderr)
        sys.exit(1)
    except UnicodeDecodeError:
        print("rhythmai: .env is not UTF-8 text: save it as UTF-8", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as missing:
        print(f"rhythmai: {what_to_install(missing)}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()  # `rhythmai ... | head`: nobody reads any more
        sys.exit(1)
