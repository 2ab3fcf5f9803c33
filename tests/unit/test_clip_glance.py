"""A demanding video is seen by its key frames first."""

from __future__ import annotations

import subprocess
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from worker.domain import Strip, View
from worker.pipeline.look import look as looking
from worker.pipeline.look.footage import Footage
from worker.pipeline.look.look import ChildLooker
from worker.pipeline.look.shown_scenes import ShownScenes
from worker.pipeline.look.warm_process import WARM

WARM.need("worker.pipeline.look.showing")
SMALL, LARGER = View(fps=4, side=16, cropped=False), View(fps=25, side=100, cropped=True)
FOOTAGE = Footage(
    stream=0,
    width=1920,
    height=1080,
    pixel_aspect=(1, 1),
    codec="h264",
    profile="High",
    pixel_format="yuv420p",
    rgb=False,
    interlaced=False,
    transfer=1,
    primaries=1,
    matrix=1,
    colour_range=1,
    decodes=True,
    start=0,
    start_s=0.0,
    hidden_s=0.0,
    picture_s=12.0,
    duration_s=12.0,
    fps=25.0,
    timed=True,
    pace=0,
    jumps=False,
    keys=12,
    sounds=(),
)


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """Six seconds of 1080p, red and then, from 2.52 s on, blue, with a key frame at least every 0.4 s."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    colours = "color=red:s=1920x1080:d=2.52:r=25[a];color=blue:s=1920x1080:d=3.48:r=25[b];[a][b]concat"
    made = ["-filter_complex", colours, "-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-pix_fmt", "yuv420p"]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *made, path], check=True)
    return path


async def test_stills_come_first_and_exact_scenes_after(film: Path) -> None:
    """The first look has all stills of the clip; the second finds the cut to the frame and leaves the stills alone."""
    glance, whole = [clip async for clip in ChildLooker().look(film, None)]
    assert 12 <= len(glance.stills) <= 16
    assert glance.stills[-1].time_s > 5
    assert whole.cuts_s == (2.52,)
    assert whole.stills == glance.stills
    assert (glance.duration_s, glance.digest) == (whole.duration_s, whole.digest) == (6.0, whole.digest)


async def test_a_glance_finds_scenes_of_which_it_sees_one_picture_each(film: Path, tmp_path: Path) -> None:
    """Where every key frame begins another scene none stands out beside the others, and each is one all the same."""
    colours = [f"color={('red', 'lime', 'blue')[i % 3]}:s=1920x1080:d=0.6:r=25[{i}]" for i in range(13)]
    joined = "".join(f"[{i}]" for i in range(13)) + "concat=n=13"
    made = [
        "-filter_complex",
        ";".join([*colours, joined]),
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-sc_threshold",
        "40",
    ]
    path = tmp_path / "film.mp4"
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *made, "-g", "15", "-pix_fmt", "yuv420p", path], check=True
    )
    async with aclosing(ChildLooker().look(path, None, (SMALL,))) as looks:
        glance = await anext(looks)
    assert len(glance.scenes) == 13


async def test_an_engine_that_sees_every_frame_lets_the_scenes_be_known(film: Path, monkeypatch) -> None:
    """After the glance every frame is decoded for it alone; its frames tell the cut to half a slot, and that comes behind them."""
    tasks: list[str] = []
    decoding = looking.decoding
    monkeypatch.setattr(
        looking, "decoding", lambda task, *rest, **more: tasks.append(task) or decoding(task, *rest, **more)
    )
    glance, *stretches, clip = [more async for more in ChildLooker().look(film, None, (SMALL, LARGER))]
    assert tasks == ["glance", "follow"]
    assert (len(glance.scenes), glance.glanced, clip.glanced) == (2, True, False)
    assert clip.cuts_s == pytest.approx((2.52,), abs=0.021)
    assert (clip.stills, clip.duration_s, clip.digest) == (glance.stills, glance.duration_s, glance.digest)
    assert [scene.warmth > 0.5 for scene in clip.scenes] == [True, False]
    shown = np.concatenate([strip.pictures.repeat(strip.repeats, axis=0) for strip, _ in stretches])
    red, _, blue = shown.mean((2, 3)).T
    assert (blue > red).tolist() == [k / 4 > 2.48 for k in range(24)]


@pytest.mark.parametrize(
    ("changes", "glanced"),
    [
        ({}, True),
        ({"keys": 11}, False),
        ({"width": 640, "height": 360}, False),
        ({"timed": False}, False),
    ],
    ids=["demanding", "too few key frames", "small", "frames without times"],
)
def test_a_glance_is_for_what_takes_long_and_shows_enough(changes: dict[str, int], glanced: bool) -> None:
    """Otherwise the first look is the only one, at every frame."""
    seen = replace(FOOTAGE, **changes).glance(12)
    assert (seen.glanced, seen.skip) == (glanced, "NONKEY" if glanced else "DEFAULT")


@pytest.mark.parametrize(("keys", "every"), [(12, 1), (64, 1), (65, 2), (200, 4)])
def test_a_glance_at_many_key_frames_is_at_some_of_them(keys: int, every: int) -> None:
    """However long the video, and however many key frames it has, a glance is short."""
    glanced = replace(FOOTAGE, keys=keys).glance(12)
    assert glanced.every_key == every
    assert replace(glanced, glanced=False).every_key is None


@pytest.mark.parametrize("side", [16, 32, 100, 224])
def test_scenes_are_found_in_frames_of_any_size(side: int) -> None:
    """Frames that stand for several slots and stretches without any are nothing special; a film that was not shown has no scenes."""
    view = View(fps=25, side=side, cropped=True)
    spotted = ShownScenes((View(fps=8, side=8, cropped=False), view))
    assert spotted.scenes(4) == ()
    other = Strip(pictures=np.zeros((0, 3, 8, 8), np.uint8), repeats=np.zeros(0, np.int64))
    noise = np.random.default_rng(0).integers(0, 12, (25, 3, side, side)).astype(np.uint8)
    for level, repeats in ((20, 1), (None, 0), (200, 3)):
        pictures = noise[:0] if level is None else noise + np.uint8(level)
        spotted.see((other, Strip(pictures=pictures, repeats=np.full(len(pictures), repeats))))
    first, second = spotted.scenes(4)
    assert second.start_s == pytest.approx(27.5 / 25)
    assert (first.brightness, second.brightness) == pytest.approx((0.1, 0.81), abs=0.02)
