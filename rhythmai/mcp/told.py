"""What an assistant is told of a job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from rhythmai.answers import Job, Licence, Status


class ToldTrack(BaseModel):
    """One track, as soon as its direction is known."""

    model_config = ConfigDict(frozen=True)

    track: Annotated[int, Field(description="Its number, from 1.")]
    title: str
    description: str
    tempo_bpm: float | None = None
    key: str | None = None
    seconds: Annotated[float | None, Field(description="How long it is; null while it is not made.")] = None
    file: Annotated[str | None, Field(description="Where it is saved; null while it is not.")] = None
    url: str | None = None
    licence: Annotated[Licence | None, Field(description="Under which it stands; null while it is not made.")] = None


class Told(BaseModel):
    """A job and its files."""

    model_config = ConfigDict(frozen=True)

    job_id: UUID
    status: Status
    progress: Annotated[int, Field(description="0 to 100.")]
    eta_s: Annotated[int | None, Field(description="Seconds that it will probably still take.")]
    tracks: tuple[ToldTrack, ...]
    film: Annotated[str | None, Field(description="Where the new film of a merge is saved.")]
    film_url: str | None
    film_licence: Annotated[Licence | None, Field(description="Its track's; null where that is none of ours.")]
    pack: Annotated[str | None, Field(description="The file of a track that was packed for editing programs.")]
    notes: Annotated[tuple[str, ...], Field(description="What went otherwise than asked.")]
    error: Annotated[str | None, Field(description="Why it failed.")]

    @classmethod
    def of(cls, job: Job, saved: Mapping[int, Path]) -> Self:
        """`saved` are the files by the indexes of their results."""
        files = {index: str(path) for index, path in saved.items()}
        tracks = {
            planned.index: ToldTrack(
                track=planned.index + 1, title=planned.title, description=planned.description,
                tempo_bpm=planned.tempo_bpm, key=planned.key,
            )
            for planned in job.directions
        }  # fmt: skip
        tracks |= {
            result.index: ToldTrack(
                track=result.index + 1, title=result.title, description=result.description, tempo_bpm=result.bpm,
                key=result.key, seconds=result.duration, file=files.get(result.index), url=result.audio_url,
                licence=result.licence,
            )
            for result in job.results if result.audio_url
        }  # fmt: skip
        packed = next((files.get(result.index) for result in job.results if result.pack_url), None)
        film = next((result for result in job.results if result.video_url), None)
        return cls(
            job_id=job.job_id, status=job.status, progress=job.progress, eta_s=job.eta_s,
            tracks=tuple(tracks[index] for index in sorted(tracks)),
            film=files.get(film.index) if film else None, film_url=film.video_url if film else None,
            film_licence=film.licence if film else None,
            pack=packed, notes=job.notes, error=job.error,
        )  # fmt: skip
