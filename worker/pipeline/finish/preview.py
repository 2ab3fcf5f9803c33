"""FfmpegPreviewer: the film as every browser plays it, where it is not played as it is or a page may not play it from where it is."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from worker.errors import Rejected
from worker.pipeline.finish.command import command, heard, shown
from worker.pipeline.finish.complaints import in_words
from worker.pipeline.finish.picture import as_it_is, browsers_play, drawn_anew
from worker.pipeline.finish.sound import stereo
from worker.pipeline.look.answers import Measured
from worker.pipeline.look.child import Limits, run_child
from worker.pipeline.look.footage import Footage, Sound
from worker.pipeline.look.look import ask_decoder

LIMITS = Limits(
    wall=timedelta(minutes=5), cpu=timedelta(minutes=15), file_bytes=512 * 2**20, output_bytes=2**16, nice=15
)
_LONGEST_S = 86_400.0
_MOST = (1280, 720)
_LIGHT = 2**20
"""Bytes a second of a film that is not made lighter."""
_SOUND: dict[str, Any] = {"acodec": "aac", "aac_coder": "fast", "audio_bitrate": "128k"}


class FfmpegPreviewer:
    """Implements `Previewer`. `ours`: whether an address is one of our Storage, from which every page may play."""

    def __init__(self, ours: Callable[[str], bool], *, limits: Limits = LIMITS) -> None:
        self._ours = ours
        self._limits = limits

    async def preview(self, url: str, video: Path, into: Path, until_s: float) -> Path | None:
        """A picture that is H.264 of that size already is copied. Raises what `ChildLooker.look` raises."""
        measured, _ = await ask_decoder("measure", video, _LONGEST_S, expect=Measured, limits=Limits())
        film = measured.footage
        if self._ours(url) and browsers_play(film):
            return None
        target = into / f"preview-{secrets.token_hex(8)}.mp4"
        for picture, sound in _ways(film, video):
            target.touch()
            line = _command(video, target, film, picture, sound, until_s)
            ended = await run_child(line, self._limits, task="Making a preview", reads=[video], writes=[target])
            if ended.code == 0:
                return target
        target.unlink()
        raise Rejected(in_words(ended.complaints.replace(f"{into}/", "")), code="broken_video")


def _ways(film: Footage, video: Path) -> Iterator[tuple[dict[str, Any], Sound | None]]:
    """What is tried one after the other: a copy before a new picture, and each with the film's sound before none."""
    small = max(film.width, film.height) <= _MOST[0] and min(film.width, film.height) <= _MOST[1]
    light = film.codec == "h264" and small and video.stat().st_size <= _LIGHT * max(1.0, film.duration_s)
    for picture in (as_it_is(film) if light else None, drawn_anew(film, _MOST) | {"crf": 26}):
        if picture is not None:
            yield from ((picture, sound) for sound in (*film.usable_sounds[:1], None))


def _command(
    video: Path, target: Path, film: Footage, picture: dict[str, Any], sound: Sound | None, until_s: float
) -> list[str]:
    own = shown(video, film)
    streams = [own[str(film.stream)]]
    if sound is not None:  # as loud as in a merge, which a page computes from the preview
        streams.append(stereo(heard(own, sound, film), sound))
    return command(film, target, *streams, t=until_s, **picture, **_SOUND)
