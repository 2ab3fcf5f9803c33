"""`rhythmai models`: the weights that MMAudio and ACE-Step compose with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from rhythmai.table import Json, show, show_json

Progress = Callable[[str, int, int | None], None]
"""Told a file's name, the bytes that are here, and how many there will be, if known."""

Folder = Annotated[Path | None, typer.Option("--dir", help="Where weights lie (default: MODELS_DIR).")]
NEEDS_GPU_EXTRA: Final = (
    "Weights are for engines that are not installed: pip install 'rhythmai[gpu]', or 'rhythmai[acestep]'"
)
ACESTEP: Final = "acestep-"

app = typer.Typer(help="List and pull the weights of ENGINE=mmaudio and ENGINE=acestep.", no_args_is_help=True)


@app.command("list")
def list_(as_json: Json = False, folder: Folder = None) -> None:
    """List the files of every model, and whether they are here."""
    with _weights():
        from worker.engines.acestep import checkpoints
        from worker.engines.mmaudio.weights import listing

        place = _place(folder)
        files = [*listing(place), *checkpoints.listing(place)]
    if as_json:
        show_json([asdict(file) for file in files])
        return
    rows = [
        {
            "model": file.model,
            "file": file.file,
            "here": "yes" if file.present else "no",
            "size": f"{file.size_mb / 1000:.1f} GB",
            "licence": file.licence,
        }
        for file in files
    ]
    show(rows, "There are no models.", least=8)


@app.command("pull")
def pull(
    model: Annotated[
        str | None,
        typer.Argument(
            help="small_16k ... large_44k_v2, acestep-xl-turbo, acestep-turbo (default: what ENGINE composes with)."
        ),
    ] = None,
    folder: Folder = None,
) -> None:
    """Download what is missing of a model, and check it. Broken off, it goes on where it was."""
    with _weights(), _progress() as told:
        name, place = model or _settings()[0], _place(folder)
        if name.startswith(ACESTEP):
            from worker.engines.acestep.download import pull

            pull(name.removeprefix(ACESTEP), place, told)
        else:
            from worker.engines.mmaudio import download

            download.pull(name, place, told)
    print(f"{name} is complete in {place}.")


def _settings() -> tuple[str, Path]:
    """The model of ENGINE's first and MODELS_DIR, as a worker would take them; whatever else it wants may be missing."""
    from rhythmai.doctor.environment import read

    settings, _, _ = read({})
    acestep = settings.engine[0] == "acestep"
    return f"{ACESTEP}{settings.acestep_model}" if acestep else settings.mmaudio_model, settings.models_dir


def _place(folder: Path | None) -> Path:
    return folder or _settings()[1]


@contextmanager
def _weights() -> Iterator[None]:
    """Errors of the engine become lines of ours."""
    from rhythmai.errors import BadInput, Unreachable
    from rhythmai.project.extras import what_to_install
    from worker.errors import Misconfigured, Unavailable

    try:
        yield
    except ModuleNotFoundError as missing:
        what_to_install(missing)
        raise BadInput(NEEDS_GPU_EXTRA) from None
    except Misconfigured as error:
        raise BadInput(str(error)) from None
    except Unavailable as error:
        raise Unreachable(str(error)) from None


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar a file in a terminal, a line a file elsewhere."""
    from rhythmai.screen import Screen

    with Screen(stderr=True) as screen:
        bars: dict[str, Callable[[int, int], None]] = {}

        def told(name: str, done: int, whole: int | None) -> None:
            if name not in bars:
                bars[name] = screen.transfer(name + (f", {whole / 1e9:.1f} GB" if whole else ""))
            bars[name](done, whole or 0)

        yield told
