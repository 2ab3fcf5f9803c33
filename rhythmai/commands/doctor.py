"""`rhythmai doctor`: is everything there that this machine needs?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rhythmai.commands.arguments import Data
from rhythmai.commands.running import command
from rhythmai.table import Json, show_json

if TYPE_CHECKING:
    from rhythmai.doctor.finding import Finding
    from rhythmai.screen import Screen

STYLES: Final = {"ok": "green", "note": "yellow", "fail": "bold red"}


@command
async def doctor(
    api_only: Annotated[
        bool, typer.Option("--api-only", help="This machine runs only the API: leave out what workers need.")
    ] = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Examine the set-up of this machine.

    Environment, database, Realtime, Storage, the model that watches videos, FFmpeg, GPU, weights, disk, the certificate that files are signed with: each line is ok
    or says what to do. The exit code is 1 when something fails.
    """
    from rhythmai.doctor.examination import examine
    from rhythmai.doctor.finding import Verdict
    from rhythmai.screen import Screen

    given = await _given(data)
    findings = []
    with Screen() as screen:
        async for finding in examine(given, api_only=api_only):
            findings.append(finding)
            if not as_json:
                _tell(screen, finding)
    if as_json:
        show_json([asdict(finding) for finding in findings])
    if any(finding.verdict is Verdict.FAIL for finding in findings):
        raise typer.Exit(1)


async def _given(data: Path | None) -> dict[str, str]:
    """What the running local stack sets, when it is meant: as with the other commands, when nothing else is."""
    from rhythmai.errors import NoStack
    from rhythmai.local.settings import LocalSettings
    from rhythmai.nearby import nearby
    from rhythmai.target import Target

    if data is None and Target().database_url:
        return {}
    try:
        found = nearby(data).environment
    except NoStack:
        if data is not None:
            raise
        return {}
    return {"engine": LocalSettings().engine, **{name.lower(): value for name, value in found.items()}}


def _tell(screen: Screen, finding: Finding) -> None:
    screen.say(f"{finding.verdict:<5} {finding.check:<12} {finding.text}", STYLES[finding.verdict], hang=19)
    if finding.remedy:
        screen.say(f"{'':<18} -> {finding.remedy}", hang=22)
