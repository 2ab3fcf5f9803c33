"""Damaged media, by seeded mutation of valid files: every one is looked at or refused, and the worker lives on."""

from __future__ import annotations

import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from tests.conftest import FUZZ
from tests.unit.looking import look
from tests.unit.media import CONTAINERS, mutate, write_sound, write_video
from worker.domain import Clip, Options
from worker.errors import Rejected
from worker.pipeline.finish.merge import FfmpegMerger
from worker.pipeline.look.answers import Heard, Measured, Refusal, Seen

ROOT = Path(__file__).parents[2]
KILLED = "killed"
MANY, FEW = (12, 4) if FUZZ == 1 else (40 * FUZZ, 8)
ANSWERS = {
    "look": TypeAdapter(Seen | Refusal),
    "measure": TypeAdapter(Measured | Refusal),
    "listen": TypeAdapter(Heard | Refusal),
}
# One process for many files: a process for each would spend most of its time on imports.
DECODE_ALL = """
import json, sys
from pathlib import Path
from worker.pipeline.look.decoder import answer
task = sys.argv[1]
for path in sys.argv[2:]:
    fields, stills, _ = answer(task, Path(path), 180.0, None)
    print(json.dumps(fields | {"stills": [[still.time_s, len(still.jpeg)] for still in stills]}), flush=True)
"""


def damaged(folder: Path, valid: Path, count: int) -> list[Path]:
    """Write `count` damaged copies of a file; the same every time."""
    dice = random.Random(valid.name)
    data = valid.read_bytes()
    paths = [folder / f"{i}-{valid.name}" for i in range(count)]
    for path in paths:
        path.write_bytes(mutate(data, dice))
    return paths


async def decode_all(task: str, paths: list[Path]) -> list[str]:
    """Decode every file; return the codes of refusals. A file that kills its process must be refused by the worker, too."""
    codes: list[str] = []
    while paths:
        process = subprocess.run(
            [sys.executable, "-c", DECODE_ALL, task, *map(str, paths)],
            cwd=ROOT,
            capture_output=True,
            timeout=300 * FUZZ,
            check=False,
        )
        lines = process.stdout.splitlines()
        for line in lines:
            answer = ANSWERS[task].validate_json(line)
            codes.append(answer.code if isinstance(answer, Refusal) else "")
        if process.returncode == 0:
            break
        assert process.returncode < 0, process.stderr.decode()
        with pytest.raises(Rejected):
            await look(paths[len(lines)])
        codes.append(KILLED)
        paths = paths[len(lines) + 1 :]
    return codes


KNOWN = {
    "", "too_demanding", "broken_video", "not_a_video", "no_video_stream", "too_many_pixels", "too_long", "empty_file", KILLED,
}  # fmt: skip


@pytest.mark.slow
async def test_damaged_videos(tmp_path) -> None:
    """A damaged video gives a sane answer or a refusal with a known code, in every container."""
    valid = [write_video(tmp_path / f"valid.{suffix}") for suffix in CONTAINERS]
    codes = await decode_all("look", [bad for one in valid for bad in damaged(tmp_path, one, MANY)])
    assert len(codes) == MANY * len(CONTAINERS)
    for number, suffix in enumerate(CONTAINERS):
        found = codes[number * MANY : (number + 1) * MANY]
        assert set(found) <= KNOWN, suffix
        assert "" in found, suffix  # some damage is survived ...
        assert set(found) != {""}, suffix  # ... and some is not


async def test_damaged_sounds(tmp_path) -> None:
    """A damaged sound file of any kind has a length or is no sound."""
    sounds = [write_sound(tmp_path / f"valid.{suffix}", 0.5) for suffix in ("flac", "wav", "mp3", "m4a", "ogg")]
    codes = await decode_all("listen", [bad for valid in sounds for bad in damaged(tmp_path, valid, 40)])
    assert set(codes) <= {"", "not_audio", KILLED}


async def test_noise(tmp_path) -> None:
    """Random bytes behind the beginning of each container are refused."""
    dice = random.Random(0)
    paths = []
    for i, head in enumerate(
        [b"", b"\0\0\0\x18ftypisom", b"\x1aE\xdf\xa3", b"RIFF\0\0\0\0AVI ", b"FLV\x01", b"OggS", b"\x47"]
    ):
        paths.append(tmp_path / str(i))
        paths[-1].write_bytes(head + dice.randbytes(50_000))
    codes = await decode_all("look", paths)
    assert set(codes) <= {"broken_video", "not_a_video", "no_video_stream", KILLED}


async def test_the_worker_lives_on(tmp_path) -> None:
    """The looker itself turns every damaged file into a clip or a refusal, one child each."""
    for path in damaged(tmp_path, write_video(tmp_path / "valid.mp4"), FEW):
        with suppress(Rejected):
            assert isinstance(await look(path), Clip)


async def test_damaged_merges(tmp_path) -> None:
    """A damaged video or sound is merged as far as it goes, or refused; a half-written result never stays behind."""
    into = tmp_path / "into"
    into.mkdir()
    video, sound = write_video(tmp_path / "valid.mp4"), write_sound(tmp_path / "valid.mp3", 1)
    pairs = [(bad, sound) for bad in damaged(tmp_path, video, FEW)] + [
        (video, bad) for bad in damaged(tmp_path, sound, FEW)
    ]
    for bad_video, bad_sound in pairs:
        with suppress(Rejected):
            merged = (await FfmpegMerger().merge(bad_video, bad_sound, into, Options(mode="mix"))).file
            merged.unlink()
        assert list(into.iterdir()) == []
