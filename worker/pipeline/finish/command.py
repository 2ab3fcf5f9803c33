"""ffmpeg's command line for a film: a stranger's file in, an MP4 out that begins at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ffmpeg
import imageio_ffmpeg

from worker.domain import PROTOCOLS, VIDEO_FORMATS
from worker.pipeline.finish.picture import THREADS
from worker.pipeline.look.footage import Footage, Sound

# Titles and places (phones store where a video was taken) are nobody's business in a public file.
_MP4: dict[str, Any] = {"format": "mp4", "movflags": "+faststart", "map_metadata": -1, "map_chapters": -1}


def opened(path: Path, formats: str, **options: Any) -> Any:
    place = f"file:{path.absolute()}"
    return ffmpeg.input(place, protocol_whitelist=PROTOCOLS, format_whitelist=formats, threads=THREADS, **options)


def shown(video: Path, film: Footage) -> Any:
    """The film from time 0 on. Containers may start late and each stream of theirs later still: the first frame is set to 0, sound follows."""
    return opened(video, VIDEO_FORMATS, itsoffset=-film.start_s if film.timed and not film.jumps else 0)


def heard(video: Any, sound: Sound, film: Footage) -> Any:
    """One of its sounds, at its time."""
    given = video[f"a:{sound.number}"]
    if film.jumps:  # whose times ffmpeg sets right itself, and then begins at 0
        return given.filter("asetpts", f"PTS-STARTPTS+{sound.start_s:.6f}/TB")
    return given


def command(film: Footage, target: Path, *streams: Any, **coded: Any) -> list[str]:
    """What writes the streams to `target`."""
    output = ffmpeg.output(*streams, f"file:{target.absolute()}", **coded, **_MP4)
    if not film.jumps:  # a clock that jumps is set right by ffmpeg only where it may change times
        output = output.global_args("-copyts")
    output = output.global_args("-nostdin", "-hide_banner", "-loglevel", "error")
    output = output.global_args("-filter_threads", str(THREADS), "-filter_complex_threads", str(THREADS))
    line: list[str] = ffmpeg.compile(output, cmd=imageio_ffmpeg.get_ffmpeg_exe(), overwrite_output=True)
    return line
