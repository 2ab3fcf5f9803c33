"""What many commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from rhythmai.errors import BadInput


def job_id(text: str) -> UUID:
    """Raises BadInput."""
    try:
        return UUID(text)
    except ValueError:
        raise BadInput(f"{text} is not the id of a job: `rhythmai submit` prints one") from None


def pairs_of(texts: list[str]) -> dict[str, str]:
    """NAME=VALUE, each name once. Raises BadInput."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals) or name in pairs:
            what = f"gives {name} a second value" if name in pairs else "is no pair of a name and a value"
            raise BadInput(f"--metadata {text} {what}: write each name once, like --metadata order=4711")
        pairs[name] = value
    return pairs


Data = Annotated[Path | None, typer.Option("--data", help="The folder of the local stack (default: the user's).")]
JobId = Annotated[UUID, typer.Argument(metavar="JOB", parser=job_id, help="What `rhythmai submit` printed.")]
JobIds = Annotated[list[UUID], typer.Argument(metavar="JOB", parser=job_id, help="Ids of jobs.")]
Track = Annotated[int | None, typer.Option(min=1, max=8, help="Which track of the job, counted from 1.")]
