"""A film decoded beforehand is the film decoded in the engine's turn."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path

import pytest
import torch

from worker.domain import Clip, Options
from worker.engines.mmaudio.frame_file import frame_file_of, write_frames
from worker.engines.mmaudio.frames import Chunk, Film
from worker.engines.mmaudio.predecoder import FramePredecoder
from worker.errors import Cancelled, Rejected, Unavailable

CPU = torch.device("cpu")


@pytest.fixture
def clip(film: Path, tmp_path: Path) -> Clip:
    """In a folder of its own, as a job's film is."""
    return Clip(
        path=Path(shutil.copy(film, tmp_path / "media")), digest="d", duration_s=2.0, width=1, height=1, fps=25, has_audio=False,
        scenes=(), stills=(),
    )  # fmt: skip


def whole(chunks: list[Chunk]) -> list[torch.Tensor]:
    return [torch.cat([getattr(chunk, name) for chunk in chunks]) for name in ("clip", "clip_repeats", "sync")]


async def test_what_is_wound_is_what_would_have_been_decoded(clip: Clip, film: Path):
    """Frames, repeats and lengths are the same, and the film itself is not touched again."""
    await FramePredecoder(CPU).predecode(clip, Options())
    clip.path.write_bytes(b"gone")
    ahead, decoded = Film(clip.path, 2.0, CPU), Film(film, 2.0, CPU)
    for ours, theirs in zip(whole(list(ahead)), whole(list(decoded)), strict=True):
        assert torch.equal(ours, theirs)
    assert ahead.cut == decoded.cut


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
async def test_a_gpu_winds_the_same_frames_with_tensor_cores_allowed(clip: Clip, film: Path, monkeypatch):
    """On a stream beside the engine's: within rounding of the CPU's kernel, whatever the engine has set for its own products."""
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)
    await FramePredecoder(torch.device("cuda")).predecode(clip, Options())
    for ours, theirs in zip(whole(list(Film(clip.path, 2.0, CPU))), whole(list(Film(film, 2.0, CPU))), strict=True):
        assert ours.shape == theirs.shape
        assert (ours.int() - theirs.int()).abs().max() <= 2


async def test_a_film_that_is_known_is_not_wound_again(clip: Clip):
    """The engine has its features on the shelf; another seed or text costs no decoding."""
    predecoder = FramePredecoder(CPU)
    await predecoder.predecode(clip, Options())
    frame_file_of(clip.path).unlink()
    await predecoder.predecode(clip, Options())
    assert not frame_file_of(clip.path).exists()


async def test_without_a_look_at_the_film_nothing_is_wound(clip: Clip):
    """Conditioned on text alone, a job decodes nothing."""
    await FramePredecoder(CPU).predecode(clip, Options(conditioning="text"))
    assert list(clip.path.parent.iterdir()) == [clip.path]


async def test_a_film_known_without_its_motion_is_wound_again_for_it(clip: Clip):
    """The engine keeps features with and without those of Synchformer apart; those with them do for both."""
    predecoder = FramePredecoder(CPU)
    for conditioning, ahead in (("text+clip", True), ("full", True), ("text+clip", False)):
        await predecoder.predecode(clip, Options(conditioning=conditioning))
        assert frame_file_of(clip.path).exists() is ahead
        frame_file_of(clip.path).unlink(missing_ok=True)


async def test_a_full_disk_may_be_empty_later(clip: Clip, film: Path):
    """What the frames cannot be stored for is no fault of the video: here, a folder that is gone."""
    with pytest.raises(Unavailable, match="could not store"):
        write_frames(clip.path.parent / "gone" / "media", iter(Film(film, 2.0, CPU)), lambda: False)


async def test_a_film_that_cannot_be_decoded_is_refused(clip: Clip):
    """The refusal is the decoder's own, before the engine is asked for anything, and it is not remembered as decoded."""
    clip.path.write_bytes(b"not a film")
    predecoder = FramePredecoder(CPU)
    for _ in range(2):
        with pytest.raises(Rejected, match="cannot be decoded"):
            await predecoder.predecode(clip, Options())


def test_half_a_reel_is_none(clip: Clip):
    """What was decoded until a job was cancelled is never taken for the film."""
    with pytest.raises(Cancelled):
        write_frames(clip.path, iter(Film(clip.path, 2.0, CPU)), lambda: True)
    assert list(clip.path.parent.iterdir()) == [clip.path]
    assert len(whole(list(Film(clip.path, 2.0, CPU)))[2]) == 50


async def test_a_cancelled_job_waits_until_nothing_is_written_any_more(clip: Clip):
    """Guards the wait in `predecode`: the folder of a job goes with it, and a thread that still writes would bring it back."""
    begun, left = threading.Event(), threading.Event()

    class Slow(FramePredecoder):
        def film(self, clip: Clip) -> Film:
            begun.set()
            return super().film(clip)

        def _predecode(self, clip, cancelled) -> None:
            try:
                while not cancelled():
                    super()._predecode(clip, cancelled)
            finally:
                left.set()

    task = asyncio.create_task(Slow(CPU).predecode(clip, Options()))
    assert await asyncio.to_thread(begun.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left.is_set()
