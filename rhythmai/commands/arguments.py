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


Data = Annotated[Path | None, typer.Option("--data", help="The folder of the local stack (default: the user's).")]
JobId = Annotated[UUID, typer.Argument(metavar="JOB", parser=job_id, help="What `rhythmai submit` printed.")]
JobIds = Annotated[list[UUID], typer.Argument(metavar="JOB", parser=job_id, help="Ids of jobs.")]
Track = Annotated[int | None, typer.Option(min=1, max=8, help="Which track of the job, counted from 1.")]
