"""ChildLooker on the frames that an engine wants to see: which, of what size, decoded once, and never more than fit."""

from __future__ import annotations

import asyncio
import struct
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import IO

import av
import imageio_ffmpeg
import numpy as np
import psutil
import pytest
import torch

from tests.unit.media import BLUE, CONTAINERS, RED, write_video
from worker.domain import Clip, Frames, View
from worker.errors import Rejected, Unavailable
from worker.pipeline.look import decoder, telling
from worker.pipeline.look import look as looking
from worker.pipeline.look.child import Ended
from worker.pipeline.look.frames import frames
from worker.pipeline.look.look import ChildLooker
from worker.pipeline.look.probe import measure
from worker.pipeline.look.resize import resize
from worker.pipeline.look.selection import Selection
from worker.pipeline.look.telling import Teller, told
from worker.pipeline.look.warm_process import WARM

WARM.need("worker.pipeline.look.showing")
VIEWS = (View(fps=8, side=48, cropped=False), View(fps=25, side=32, cropped=True))


async def shown(path: Path, duration_s: float | None = None) -> tuple[Clip, list[np.ndarray]]:
    """The clip, and what each slot of the views shows."""
    clip, *stretches = [more async for more in ChildLooker().look(path, duration_s, VIEWS)]
    return clip, [
        np.concatenate([one[i].pictures.repeat(one[i].repeats, axis=0) for one in stretches]) for i in range(len(VIEWS))
    ]


def directly(path: Path, duration_s: float) -> list[np.ndarray]:
    """The same, without a child: the first frame at or after each slot."""
    selection, kept = Selection(duration_s, [view.fps for view in VIEWS]), ([], [])
    with av.open(str(path)) as container:
        decoded = list(container.decode(video=0))
    for frame in decoded:
        raw = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)[None]
        slots = selection.take(float((frame.pts - decoded[0].pts) * frame.time_base))
        for of_view, count, view in zip(kept, slots, VIEWS, strict=True):
            of_view.extend([resize(raw, view)[0].numpy()] * count)
    return [np.stack(of_view) for of_view in kept]


@pytest.fixture
def tasks(monkeypatch) -> list[str]:
    """What children were asked for."""
    asked: list[str] = []
    decoding = looking.decoding
    monkeypatch.setattr(
        looking, "decoding", lambda task, *rest, **more: asked.append(task) or decoding(task, *rest, **more)
    )
    return asked


async def test_a_small_film_is_decoded_once(tmp_path, tasks: list[str]) -> None:
    """The one look gives stills, scenes and the very frames that direct decoding chooses."""
    path = write_video(tmp_path / "a.mp4", [(RED, 0.8), (BLUE, 1.2)], fps=30)
    clip, frames = await shown(path)
    assert tasks == ["glance"]
    assert clip.cuts_s == pytest.approx((0.8,), abs=0.05)
    for ours, theirs in zip(frames, directly(path, 2.0), strict=True):
        assert np.array_equal(ours, theirs)


def test_only_so_many_frames_are_kept(tmp_path, monkeypatch) -> None:
    """A look keeps the frames of a film that is light enough, and none of one that is not: that is decoded again for the engine."""
    path = write_video(tmp_path / "a.mp4", [(RED, 1)], fps=24)
    fields, _, kept = decoder.look(path, 180.0, None, VIEWS, glance=True)
    assert (fields["kept"], len(kept)) == (True, 24)
    monkeypatch.setattr(decoder, "KEPT_BYTES", 20 * 96 * 64 * 3 // 2)
    fields, _, kept = decoder.look(path, 180.0, None, VIEWS, glance=True)
    assert (fields["kept"], len(kept)) == (False, 0)


async def test_the_moment_of_the_end_is_shown(tmp_path) -> None:
    """Of the first second at 8 frames a second nine are shown, where the film goes on: so the reference counts."""
    _, frames = await shown(write_video(tmp_path / "a.mp4", [(RED, 2)], fps=24), 1.0)
    assert len(frames[0]) == 9


async def test_a_slow_film_shows_its_frames_more_than_once(tmp_path) -> None:
    """Five frames a second fill both clocks; each distinct frame is sent once."""
    path = write_video(tmp_path / "a.mp4", [(RED, 2)], fps=5)
    _, *stretches = [more async for more in ChildLooker().look(path, None, VIEWS)]
    assert [sum(len(one[i].pictures) for one in stretches) for i in range(2)] == [10, 10]
    assert [int(sum(one[i].repeats.sum() for one in stretches)) for i in range(2)] == [15, 45]


async def test_a_portrait_film_is_cropped_in_the_middle(tmp_path) -> None:
    """The short side becomes the view's, whichever it is."""
    path = write_video(tmp_path / "a.mp4", [(RED, 1)], size=(48, 96))
    for ours, theirs in zip((await shown(path))[1], directly(path, 1.0), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("suffix", [suffix for suffix in CONTAINERS if suffix != "flv"])
def test_torchcodec_gives_the_same_frames(tmp_path, suffix: str) -> None:
    """Pixel for pixel, in MP4, MOV, MKV, WebM, AVI and TS; and at the same times, but in AVI, which has none: its frames are counted."""
    from torchcodec.decoders import VideoDecoder  # a second, which every xdist worker would take to collect

    path = source = write_video(tmp_path / f"a.{'mp4' if suffix == 'ts' else suffix}", [(RED, 0.8), (BLUE, 1.2)])
    if (
        suffix == "ts"
    ):  # in which torchcodec misses what comes before some key frame: it reads what the file is a copy of
        path = tmp_path / "a.ts"
        subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", source, "-c", "copy", path], check=True)
    ours = list(frames(path, measure(path, 180.0)))
    theirs = VideoDecoder(str(source), dimension_order="NHWC")
    assert len(ours) == len(theirs) == 50
    first_s = theirs.get_frame_at(0).pts_seconds
    for i, (at_s, _, frame) in enumerate(ours):
        other = theirs.get_frame_at(i)
        assert np.array_equal(frame.to_ndarray(format="rgb24"), other.data.numpy())
        assert at_s == pytest.approx(i / 25 if suffix == "avi" else other.pts_seconds - first_s, abs=2e-3)


async def test_nobody_has_to_take_the_frames(tmp_path) -> None:
    """Closing the look ends the child at once; nothing of it is left beside the film."""
    path, others = write_video(tmp_path / "a.mp4", [(RED, 60)], size=(64, 48)), set(psutil.Process().children())
    async with aclosing(ChildLooker().look(path, None, VIEWS)) as looks:
        assert isinstance(await anext(looks), Clip)
        await anext(looks)
    assert set(psutil.Process().children()) <= others
    assert list(tmp_path.iterdir()) == [path]


def told_by(said: bytes, code: int = 0) -> Callable[[IO[bytes]], Awaitable[Ended]]:
    """A child that says so much and ends."""

    async def child(out: IO[bytes]) -> Ended:
        await asyncio.to_thread(out.write, said)
        return Ended(code=code, output=b"", complaints="MemoryError\n")

    return child


async def heard(child, duration_s: float = 1.0, patience_s: float = 20) -> list[Frames]:
    async with told(child, patience=timedelta(seconds=patience_s), most_bytes=1000) as teller:
        return [frames async for frames in teller.frames((View(fps=8, side=2, cropped=False),), duration_s)]


PICTURE, END, WELL = bytes(range(12)), struct.pack("<I", 0), b"{}\n"


async def test_frames_come_in_stretches_of_two_seconds() -> None:
    """However many slots a frame fills, it lies there once."""
    frames = await heard(told_by((struct.pack("<I", 2) + PICTURE) * 20 + END + WELL), 5.0)
    assert [one.pictures.shape for (one,) in frames] == [(16, 3, 2, 2), (4, 3, 2, 2)]
    assert [one.repeats.tolist() for (one,) in frames] == [[2] * 16, [2] * 4]
    assert all((one.pictures == np.frombuffer(PICTURE, np.uint8).reshape(3, 2, 2)).all() for (one,) in frames)


@pytest.mark.parametrize(
    "said",
    [
        struct.pack("<I", 11),
        struct.pack("<I", 2**32 - 1),
        struct.pack("<I", 8) + PICTURE + struct.pack("<I", 3) + PICTURE,
    ],
    ids=["too many", "very many", "too many in sum"],
)
async def test_a_child_that_talks_nonsense_is_not_believed(said: bytes) -> None:
    """More frames than one second has slots for end the film there; sizes are never announced."""
    with pytest.raises(Rejected, match="makes no sense"):
        await heard(told_by(said))


@pytest.mark.parametrize(
    ("said", "code", "error", "words"),
    [
        (struct.pack("<I", 1) + PICTURE[:5], 0, Rejected, "makes no sense"),
        (struct.pack("<I", 1) + PICTURE[:5], 1, Unavailable, r"decoder failed \(MemoryError\)"),
        (END + b"{}", 0, Rejected, "makes no sense"),
        (END + b"x" * 2000, 0, Rejected, "makes no sense"),
        (END + b'{"code": "broken_video", "message": "no more of it"}\n', 0, Rejected, "no more of it"),
    ],
    ids=["half a picture", "it broke", "half a line", "a long line", "a refusal"],
)
async def test_a_film_that_ends_early_says_why(said: bytes, code: int, error, words: str) -> None:
    """Half a film is never taken for the whole."""
    with pytest.raises(error, match=words):
        await heard(told_by(said, code))


async def test_a_child_that_ends_before_it_says_a_word_is_heard_of() -> None:
    """Its end comes although it never opened its side."""

    async def child(out: IO[bytes]) -> Ended:
        raise Unavailable("the machine is full", code="child_killed")

    with pytest.raises(Unavailable, match="the machine is full"):
        await heard(child)


async def test_a_child_that_falls_silent_is_stopped() -> None:
    """A decoder that never comes to an end ends the attempt and not the worker."""
    ended = asyncio.Event()

    async def child(out: IO[bytes]) -> Ended:
        try:
            return await asyncio.Future()
        finally:
            ended.set()

    with pytest.raises(Unavailable, match="nothing came") as caught:
        await heard(child, patience_s=0.1)
    assert caught.value.code == "timeout"
    assert ended.is_set()


async def test_a_child_waits_while_nobody_watches(monkeypatch) -> None:
    """Of four stretches that may be there at once one is watched, two wait and one is about to; when they are taken the child goes on."""
    view = View(fps=8, side=64, cropped=False)
    monkeypatch.setattr(telling, "WAITING_BYTES", 4 * telling.STRETCH_S * view.fps * view.side**2 * 3)
    read: list[int] = []
    stretch = Teller._stretch

    async def counted(self, views, room):
        read.append(len(read))
        return await stretch(self, views, room)

    monkeypatch.setattr(Teller, "_stretch", counted)
    said = (struct.pack("<I", 1) + bytes(view.side**2 * 3)) * view.fps * 60 + END + WELL
    async with (
        told(told_by(said), patience=timedelta(seconds=20), most_bytes=1000) as teller,
        aclosing(teller.frames((view,), 60.0)) as stretches,
    ):
        seen = [await anext(stretches)]
        while len(read) < 4:
            await asyncio.sleep(0)
        for _ in range(5000):  # whoever could read on has had its turn
            await asyncio.sleep(0)
        assert len(read) == 4
        assert not teller.child.done()
        seen += [frames async for frames in stretches]
    assert sum(len(one.pictures) for (one,) in seen) == 480
