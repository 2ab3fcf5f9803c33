"""The console script `rhythmai`. Commands import what they need when they run: `rhythmai --help` answers at once."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from rhythmai.commands import demo, doctor, env, jobs, migrate, models, operators, purge, top, up
from rhythmai.errors import RhythmAIError
from rhythmai.loopback import past_the_proxy
from rhythmai.project.extras import what_to_install

app = typer.Typer(
    name="rhythmai",
    help="Background music for a video: several different, mastered tracks, live, one by one.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("up")(up.up)
app.command("env")(env.env)
app.command("submit")(jobs.submit)
app.command("watch")(jobs.watch)
app.command("migrate")(migrate.migrate)
app.command("doctor")(doctor.doctor)
app.command("top")(top.top)
app.command("workers")(operators.workers)
app.command("drain")(operators.drain)
app.command("jobs")(operators.jobs)
app.command("cancel")(operators.cancel)
app.command("retry")(operators.retry)
app.command("purge")(purge.purge)
app.add_typer(models.app, name="models")


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
