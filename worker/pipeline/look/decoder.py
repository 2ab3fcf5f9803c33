"""The program that touches hostile media: `python -m worker.pipeline.look.decoder TASK PATH MAX_DURATION_S [ASKED_S]`.

It answers on stdout: a line of JSON, then the JPEGs it announces. A refusal is `{"code": ..., "message": ...}`.
Whoever starts it sets the limits (`worker.pipeline.look.child`) and believes nothing it says (`worker.pipeline.look.look`).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av
import av.subtitles.stream  # which PyAV loads when it opens a file
import numpy as np
from av.video.reformatter import VideoReformatter

from worker.domain import Still
from worker.errors import Rejected
from worker.pipeline.look import scenes
from worker.pipeline.look.footage import listen, measure
from worker.pipeline.look.frames import frames
from worker.pipeline.look.media import NO_MEMORY, broken, check_size
from worker.pipeline.look.stills import SETTLED_S, SPREAD, StillPicker

_GAP_S = 0.5
"""How far from its end a picture may stop and still count as whole."""


def look(
    path: Path, max_duration_s: float, asked_s: float | None, *, glance: bool
) -> tuple[dict[str, Any], tuple[Still, ...]]:
    """Decode the video once; return the fields of a `Clip` (without path and digest) and its stills. Raises Rejected.

    At a `glance` a demanding video is seen by its key frames, if they are many enough: some hundredths of the time.
    """
    measured = measure(path, max_duration_s, asked_s)
    if glance:
        measured = measured.glance(SPREAD)
    spacing_s = 1 / 30 if measured.light else 1 / 15
    reformatter = VideoReformatter()
    picker = StillPicker(measured.duration_s, settled_s=0.0 if measured.glanced else SETTLED_S)
    times: list[float] = []
    pictures: list[scenes.Thumbnail] = []
    changes: list[float] = []
    upright, end_s = True, 0.0
    for at_s, length_s, frame in frames(path, measured):
        check_size(frame.width, frame.height)
        end_s = at_s + length_s
        if times and at_s < times[-1] + 0.9 * spacing_s:
            continue
        try:
            small = reformatter.reformat(frame, scenes.WIDTH, scenes.HEIGHT, "rgb24", interpolation="AREA")
        except NO_MEMORY:
            raise
        except (av.FFmpegError, ValueError):
            continue
        picture: scenes.Thumbnail = small.to_ndarray().astype(np.uint8, copy=False)
        change = scenes.difference(pictures[-1], picture) if pictures else 0.0
        times.append(at_s)
        pictures.append(picture)
        changes.append(change)
        upright = frame.rotation % 180 == 0
        picker.see(at_s, frame, maybe_cut=change > (scenes.OTHER_SCENE if measured.glanced else scenes.CUT))
    if not pictures:
        raise broken("no frame of it can be decoded")
    whole = measured.skip == "NONKEY" or end_s > measured.duration_s - _GAP_S
    duration_s = measured.duration_s if whole else end_s
    cuts = (
        scenes.find_changes(times, changes, duration_s)
        if measured.glanced
        else scenes.find_cuts(times, pictures, changes, duration_s)
    )
    found = scenes.describe(times, pictures, cuts, duration_s)
    width, height = (measured.width, measured.height) if upright else (measured.height, measured.width)
    fields = {
        "duration_s": duration_s,
        "width": width,
        "height": height,
        "fps": measured.fps,
        "has_audio": measured.has_audio,
        "glanced": measured.glanced,
        "scenes": [asdict(scene) for scene in found],
    }
    return fields, picker.choose(found)


def answer(
    task: str, path: Path, max_duration_s: float, asked_s: float | None
) -> tuple[dict[str, Any], Sequence[Still]]:
    """Do one task: `look` (everything for a Clip), `glance` (the same, as soon as possible), `measure` (the picture's numbers) or
    `listen` (a sound file's length)."""
    try:
        match task:
            case "look" | "glance":
                return look(path, max_duration_s, asked_s, glance=task == "glance")
            case "measure":
                return asdict(measure(path, max_duration_s, asked_s)), ()
            case "listen":
                return {"duration_s": listen(path)}, ()
            case _:
                raise ValueError(f"no such task: {task}")
    except Rejected as error:
        refusal = error
    except NO_MEMORY:
        refusal = Rejected("The file needs more memory than it may have; send a smaller one", code="too_demanding")
    except av.FFmpegError as error:
        refusal = broken(error.strerror or "it is damaged")
    return {"code": refusal.code, "message": str(refusal)}, ()


def main(arguments: Sequence[str]) -> None:
    task, path, max_duration_s, *asked_s = arguments
    # Libraries may print; our answer has a stream of its own.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    fields, stills = answer(task, Path(path), float(max_duration_s), float(asked_s[0]) if asked_s else None)
    header = fields | {"stills": [[still.time_s, len(still.jpeg)] for still in stills]}
    with out:
        out.write(json.dumps(header).encode() + b"\n")
        out.writelines(still.jpeg for still in stills)


if __name__ == "__main__":
    main(sys.argv[1:])
