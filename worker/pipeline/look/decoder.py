"""The program that touches hostile media: `python -m worker.pipeline.look.decoder TASK PATH MAX_DURATION_S ASKED_S VIEWS`.

It answers in OUT: a line of JSON, then the JPEGs it announces, then the frames that an engine wants to see (VIEWS, a list in JSON),
and whether that went well, as another line; of what it hears it tells line by line. A refusal is `{"code": ..., "message": ...}`. Whoever starts it sets the
limits (`worker.pipeline.look.child`) and believes nothing it says (`worker.pipeline.look.telling`).
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

import av
import av.subtitles.stream  # which PyAV loads when it opens a file
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from worker.domain import Still, View
from worker.errors import Rejected
from worker.pipeline.look import scenes
from worker.pipeline.look.frames import GAP_S, frames
from worker.pipeline.look.hearing import hear
from worker.pipeline.look.media import NO_MEMORY, broken, check_size, told
from worker.pipeline.look.probe import listen, measure
from worker.pipeline.look.selection import Selection
from worker.pipeline.look.small_picture import small_picture
from worker.pipeline.look.stills import SETTLED_S, SPREAD, StillPicker

KEPT_BYTES = 768 * 2**20
"""Decoded frames that wait for an engine until the stills are told: 9 s of 1080p at 25 frames a second."""

Shown = tuple[tuple[int, ...], VideoFrame]
"""How many slots of each view show a frame, and the frame."""


def look(
    path: Path, max_duration_s: float, asked_s: float | None, views: Sequence[View], *, glance: bool
) -> tuple[dict[str, Any], tuple[Still, ...], deque[Shown]]:
    """Decode the video once; return the fields of a `Clip` (without path and digest), its stills, and all the frames that the views
    want to see, if they may be kept (`kept` of the fields). Raises Rejected.

    At a `glance` a demanding video is seen by its key frames, if they are many enough: some hundredths of the time.
    """
    measured = measure(path, max_duration_s, asked_s)
    if glance:
        measured = measured.glance(SPREAD)
    spacing_s = 1 / 30 if measured.light else 1 / 15
    reformatter = VideoReformatter()
    aspect = measured.pixel_aspect[0] / measured.pixel_aspect[1]
    picker = StillPicker(measured.picture_s, pixel_aspect=aspect, settled_s=0.0 if measured.glanced else SETTLED_S)
    times: list[float] = []
    pictures: list[scenes.Thumbnail] = []
    changes: list[float] = []
    upright, end_s = True, 0.0
    kept: deque[Shown] = deque()
    room = KEPT_BYTES if views and measured.skip == "DEFAULT" else 0
    selection = Selection(measured.duration_s, [view.fps for view in views])
    for at_s, length_s, frame in frames(path, measured):
        check_size(frame.width, frame.height)
        if room > 0 and any(slots := selection.take(at_s)):
            kept.append((slots, frame))
            room -= sum(plane.buffer_size for plane in frame.planes)
            if room <= 0:
                kept.clear()
        if at_s >= measured.duration_s:
            break
        end_s = at_s + length_s
        if times and at_s < times[-1] + 0.9 * spacing_s:
            continue
        try:
            picture = small_picture(reformatter, frame, scenes.WIDTH, scenes.HEIGHT, "AREA")
        except NO_MEMORY:
            raise
        except (av.FFmpegError, ValueError):
            continue
        change = scenes.difference(pictures[-1], picture) if pictures else 0.0
        times.append(at_s)
        pictures.append(picture)
        changes.append(change)
        upright = frame.rotation % 180 == 0
        if at_s < measured.picture_s:
            picker.see(at_s, frame, maybe_cut=change > (scenes.OTHER_SCENE if measured.glanced else scenes.CUT))
    if not pictures:
        raise broken("no frame of it can be decoded")
    whole = measured.skip == "NONKEY" or end_s > measured.duration_s - GAP_S
    duration_s = measured.duration_s if whole else end_s
    cuts = (
        scenes.find_changes(times, changes, duration_s)
        if measured.glanced
        else scenes.find_cuts(times, pictures, changes, duration_s)
    )
    found = scenes.describe(times, pictures, cuts, duration_s)
    width, height = max(1, round(measured.width * aspect)), measured.height
    fields = {
        "duration_s": duration_s,
        "width": width if upright else height,
        "height": height if upright else width,
        "fps": measured.fps,
        "has_audio": measured.has_audio,
        "glanced": measured.glanced,
        "kept": room > 0,
        "scenes": [asdict(scene) for scene in found],
    }
    return fields, picker.choose(found), kept


def follow(path: Path, max_duration_s: float, asked_s: float | None, views: Sequence[View]) -> Iterator[Shown]:
    """Decode the video for an engine alone. Raises Rejected."""
    measured = replace(measure(path, max_duration_s, asked_s), followed=True)
    selection = Selection(measured.duration_s, [view.fps for view in views])
    for at_s, _, frame in frames(path, measured):
        check_size(frame.width, frame.height)
        if any(slots := selection.take(at_s)):
            yield slots, frame


def answer(
    task: str, path: Path, max_duration_s: float, asked_s: float | None, views: Sequence[View] = ()
) -> tuple[dict[str, Any], Sequence[Still], Iterator[Shown] | None]:
    """Do one task: `look` (everything for a Clip), `glance` (the same, as soon as possible), `measure` (the picture's numbers) or
    `listen` (a sound file's length). The frames are those that were kept for the views."""
    try:
        match task:
            case "look" | "glance":
                fields, stills, kept = look(path, max_duration_s, asked_s, views, glance=task == "glance")
                return fields, stills, (kept.popleft() for _ in range(len(kept))) if fields["kept"] else None
            case "measure":
                return {"footage": asdict(measure(path, max_duration_s, asked_s))}, (), None
            case "listen":
                return {"sound": asdict(listen(path)), "facts": told(path)}, (), None
            case _:
                raise ValueError(f"no such task: {task}")
    except _REFUSED as error:
        return _refusal(error), (), None


_REFUSED = (Rejected, *NO_MEMORY, av.FFmpegError)


def _refusal(error: Exception) -> dict[str, str]:
    if isinstance(error, NO_MEMORY):
        error = Rejected("The file needs more memory than it may have; send a smaller one", code="too_demanding")
    elif isinstance(error, av.FFmpegError):
        error = broken(error.strerror or "it is damaged")
    assert isinstance(error, Rejected)
    return {"code": error.code, "message": str(error)}


def _tell(out: BinaryIO, fields: dict[str, Any], stills: Sequence[Still] = ()) -> None:
    header = fields | {"stills": [[still.time_s, len(still.jpeg)] for still in stills]}
    out.write(json.dumps(header).encode() + b"\n")
    out.writelines(still.jpeg for still in stills)
    out.flush()


def main(arguments: Sequence[str]) -> None:
    task, file, max_s, asked, wanted = arguments
    path, max_duration_s, asked_s = Path(file), float(max_s), float(asked) if asked != "all" else None
    views = [View(**view) for view in json.loads(wanted)]
    out = sys.stdout.buffer
    if task == "hear":
        try:
            for heard in hear(path, max_duration_s):
                _tell(out, heard)
        except _REFUSED as error:
            _tell(out, _refusal(error))
        return
    shown: Iterator[Shown] | None
    if task == "follow":
        shown = follow(path, max_duration_s, asked_s, views)
    else:
        fields, stills, shown = answer(task, path, max_duration_s, asked_s, views)
        _tell(out, fields, stills)
    if shown is None:
        return
    from worker.pipeline.look.showing import NO_SLOTS, send  # brings torch

    end: dict[str, str] = {}
    try:
        send(shown, views, out)
    except _REFUSED as error:
        end = _refusal(error)
    out.write(bytes(NO_SLOTS * len(views)))
    _tell(out, end)


if __name__ == "__main__":
    main(sys.argv[1:])
