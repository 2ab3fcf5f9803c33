"""`rhythmai fit`: how a track fits a film, as it is heard."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rhythmai.commands.running import command
from rhythmai.table import Json, show_json

if TYPE_CHECKING:
    from worker.domain import Fit
    from worker.pipeline.finish.fit_files import FilesFit


@command
async def fit(
    film: Annotated[Path, typer.Argument(help="A video file.")],
    track: Annotated[Path, typer.Argument(help="An audio file, or a video with the music in it.")],
    hit: Annotated[
        list[float] | None, typer.Option(min=0, help="A moment in seconds that the music should hit; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell how a track fits a film: cuts on beats, hits, loudness, tempo, key; beside what chance would give."""
    from rhythmai.errors import BadInput, Unreachable
    from worker.errors import Rejected, Unavailable
    from worker.pipeline.finish.fit_files import fit_files

    for file in (film, track):
        if not file.is_file():
            raise BadInput(f"{file} is not a file: name a video and an audio file of this disk")
    hits_s = hit or []
    try:
        found = await fit_files(film, track, hits_s)
    except Rejected as error:
        raise BadInput(str(error)) from None
    except Unavailable as error:
        raise Unreachable(str(error)) from None
    if as_json:
        praise = {"on_cuts": found.fit.on_cuts, "follows": found.fit.follows}
        show_json({"film_s": found.film_s, "track_s": found.track_s, **asdict(found.fit), **praise})
    else:
        print(*(f"{name:9} {told}" for name, told in lines(found, hits_s)), sep="\n")


def lines(found: FilesFit, hits_s: list[float]) -> list[tuple[str, str]]:
    """What is told to people, by its name. Nothing is praised that chance gives."""
    fit = found.fit
    return [
        ("film", f"{found.film_s:.1f} s, track {found.track_s:.1f} s"),
        ("cuts", _cuts(fit)),
        *(("hit", _hit(at_s, late_s)) for at_s, late_s in zip(hits_s, fit.hit_errors_s, strict=True)),
        ("picture", _picture(fit)),
        ("tempo", f"{fit.bpm:.1f} bpm, {len(fit.beats_s)} beats" if fit.bpm else "no pulse"),
        ("key", fit.key or "none heard"),
        ("loudness", _loudness(fit)),
    ]


def _cuts(fit: Fit) -> str:
    if not fit.cuts:
        return "none in the film"
    if fit.chance is None:
        return f"{fit.cuts} in the film, and no beat in the track"
    met = f"{fit.on_beat} of {fit.cuts} on a beat"
    usual = f"{fit.cuts * fit.chance:.1f}".removesuffix(".0")
    return f"{met}; chance gives {usual}" if fit.on_cuts else f"{met}: no more than chance may give ({usual})"


def _hit(at_s: float, late_s: float | None) -> str:
    if late_s is None:
        return f"{at_s:g} s: no stroke stands out within half a second"
    return f"{at_s:g} s: {abs(late_s):.3f} s {'late' if late_s > 0 else 'early'}"


def _picture(fit: Fit) -> str:
    if fit.curve is None or fit.curve_chance is None:
        return "nothing happens in the film, or in the track"
    told = f"correlation {fit.curve:.2f}"
    if fit.follows:
        return f"the music follows it: {told}, chance stays under {fit.curve_chance:.2f}"
    return f"{told}: no more than chance may give ({max(0.0, fit.curve_chance):.2f})"


def _loudness(fit: Fit) -> str:
    if fit.loudness_lufs is None or fit.true_peak_db is None:
        return "silence"
    spread = "" if fit.lra_lu is None else f", range {fit.lra_lu:.1f} LU"
    return f"{fit.loudness_lufs:.1f} LUFS{spread}, true peak {fit.true_peak_db:.1f} dBTP"
