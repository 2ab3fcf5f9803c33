"""What the visitors of the soak send: short films in many containers, music, and files that are broken in many ways."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from rhythmai.sample import make_sample
from tests.unit.media import BLUE, GREEN, RED, WHITE, mutate, write_sound, write_video

SIZE = (320, 180)
REFUSALS = frozenset({
    "broken_video", "empty_file", "not_a_video", "no_video_stream", "too_long", "too_many_pixels", "too_short", "not_audio",
})  # fmt: skip
MUTANTS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file, and how a job made from it may end: completed, or one of the error codes of a failed one."""

    path: Path
    ends: frozenset[str]


COMPLETED = frozenset({"completed"})


def good_films(folder: Path) -> list[File]:
    """3 to 6 s each."""
    films = []
    for seconds, name in enumerate(("a.mp4", "b.webm", "c.mkv", "d.mov"), start=3):
        scenes = [(RED, seconds / 3), (GREEN, seconds / 3), (BLUE, seconds / 3)]
        films.append(write_video(folder / name, scenes, size=SIZE, sound=name != "d.mov"))
    films.append(write_video(folder / "e.ts", [(BLUE, 1.5), (WHITE, 1.5)], size=SIZE))
    films.append(write_video(folder / "f.avi", [(RED, 1), (GREEN, 2)], size=SIZE))
    make_sample(folder / "g.mp4", 4)
    films.append(folder / "g.mp4")
    return [File(path=path, ends=COMPLETED) for path in films]


def music(folder: Path) -> list[File]:
    return [
        File(path=write_sound(folder / f"music.{suffix}", seconds), ends=COMPLETED)
        for seconds, suffix in enumerate(("wav", "mp3", "flac", "m4a"), start=2)
    ]


def broken_films(folder: Path, dice: random.Random) -> list[File]:
    """Empty, cut off, of another kind, with absurd headers, too long, and damaged at random."""
    whole = write_video(folder / "whole.mp4", [(RED, 2), (BLUE, 2)], size=SIZE).read_bytes()
    streamable = write_video(folder / "s.mp4", [(RED, 3)], size=SIZE, options={"movflags": "+faststart"}).read_bytes()
    absurd = bytearray(write_video(folder / "absurd.mkv", [(RED, 0.2)], codec="mjpeg", sound=False).read_bytes())
    place = absurd.index(b"\xff\xc0") + 5
    while place > 4:  # the frame header of every JPEG announces 65535 x 65535 pixels
        absurd[place : place + 4] = b"\xff\xff\xff\xff"
        place = absurd.find(b"\xff\xc0", place) + 5
    wide = write_video(folder / "wide.mp4", [(RED, 0.04)], size=(4112, 64), sound=False)
    long = write_video(folder / "long.mp4", [(RED, 200)], fps=1, size=(32, 32), sound=False)
    contents = {
        "empty.mp4": (b"", {"empty_file"}),
        "page.mp4": (b"<!DOCTYPE html><html><body>Watch on our site</body></html>", {"not_a_video"}),
        "zeros.mp4": (bytes(200_000), {"not_a_video"}),
        "playlist.mp4": (b"#EXTM3U\n#EXTINF:2,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", {"not_a_video"}),
        "no_index.mp4": (whole[: len(whole) * 3 // 4], {"broken_video"}),
        "cut.mp4": (streamable[: len(streamable) * 2 // 3], {"completed"}),
        "sound.mp4": (write_sound(folder / "sound.m4a", 1).read_bytes(), {"no_video_stream"}),
        "header.mkv": (bytes(absurd), {"broken_video", "too_many_pixels"}),
        "wide.mp4": (wide.read_bytes(), {"too_many_pixels"}),
        "long.mp4": (long.read_bytes(), {"too_long"}),
    }
    contents |= {f"mutant{n}.mp4": (mutate(whole, dice), REFUSALS | {"completed"}) for n in range(MUTANTS)}
    for name, (data, _) in contents.items():
        (folder / name).write_bytes(data)
    return [File(path=folder / name, ends=frozenset(ends)) for name, (_, ends) in contents.items()]
