"""Frames come chosen, resized and in chunks from a child process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import psutil
import pytest
import torch

from worker.engines.mmaudio import resize
from worker.engines.mmaudio.decoding import pyav_shots, torchcodec_shots, usual
from worker.engines.mmaudio.features import Encoding, Watcher, in_batches
from worker.engines.mmaudio.frames import Film
from worker.engines.mmaudio.sampling import Batching
from worker.engines.mmaudio.selection import Selection
from worker.errors import Rejected, Unavailable

CPU = torch.device("cpu")


def written(path: Path, fps: int, count: int, size: tuple[int, int] = (64, 48)) -> Path:
    """A small video whose frames differ."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for i in range(count):
            picture = np.full((size[1], size[0], 3), 40 + 4 * (i % 50), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def directly(path: Path, duration_s: float) -> tuple[torch.Tensor, torch.Tensor]:
    """All chosen frames at once, without a child and without chunks."""
    selection, shown = Selection(duration_s), ([], [])
    for shot in pyav_shots(path):
        for kept, repeats in zip(shown, selection.take(shot.time_s), strict=True):
            kept.extend([torch.from_numpy(shot.pixels()).permute(2, 0, 1)] * repeats)
    return resize.for_clip(torch.stack(shown[0])), resize.for_sync(torch.stack(shown[1]))


@pytest.mark.parametrize("limit", [64 * 2**20, 400_000])
def test_chunks_hold_the_chosen_frames(film: Path, limit: int):
    """However small the chunks, together they are the frames that direct decoding chooses."""
    read = Film(film, 2.0, CPU, chunk_bytes=limit)
    chunks = list(read)
    clip = torch.cat([chunk.clip.repeat_interleave(chunk.clip_repeats, dim=0) for chunk in chunks])
    sync = torch.cat([chunk.sync for chunk in chunks])
    expected = directly(film, 2.0)
    assert torch.equal(clip, expected[0])
    assert torch.equal(sync, expected[1])
    assert (read.cut.duration_s, read.cut.clip, read.cut.sync) == (2.0, 16, 50)
    assert limit > 10**6 or len(chunks) > 10


def test_a_slow_video_shows_its_frames_more_than_once(tmp_path: Path):
    """Five frames a second fill both clocks; CLIP gets each distinct frame once."""
    chunks = list(Film(written(tmp_path / "slow.mp4", 5, 12), 2.0, CPU))
    assert sum(len(chunk.clip) for chunk in chunks) < sum(int(chunk.clip_repeats.sum()) for chunk in chunks)
    assert sum(len(chunk.sync) for chunk in chunks) >= 50


def test_portrait_video_is_cropped_in_the_middle(tmp_path: Path):
    """The short side becomes 224, whichever it is."""
    chunk = next(iter(Film(written(tmp_path / "tall.mp4", 25, 30, (48, 96)), 1.0, CPU)))
    assert chunk.sync.shape[1:] == (3, 224, 224)
    assert chunk.clip.shape[1:] == (3, 384, 384)


def test_a_playlist_is_refused(tmp_path: Path):
    """A playlist under a video's name reads no other file: its format is not on the list."""
    secret = written(tmp_path / "secret.mp4", 25, 30)
    disguised = tmp_path / "video.mp4"
    disguised.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n")
    with pytest.raises(Rejected, match="cannot be decoded"):
        list(Film(disguised, 1.0, CPU))


def test_a_file_without_pictures_is_refused(tmp_path: Path):
    """Sound alone is not a film, and the reason comes from the child in words."""
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(Rejected, match="no video stream"):
        list(Film(path, 1.0, CPU))


def test_a_decoder_that_falls_silent_is_stopped(tmp_path: Path):
    """A file that never comes to an end, here a pipe that nobody fills, ends the attempt and not the worker."""
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(Unavailable, match="fell silent"):
        list(Film(tmp_path / "pipe.mp4", 1.0, CPU, silence_s=0.1))


def test_the_decoding_child_has_no_secrets_and_little_room(tmp_path: Path, monkeypatch):
    """What reads a stranger's bytes knows where programs and libraries are, may write no more than its complaints, and has 4 GB of memory."""
    monkeypatch.setenv("SUPABASE_KEY", "secret")
    os.mkfifo(tmp_path / "pipe.mp4")
    others = set(psutil.Process().children())
    frames = Film(tmp_path / "pipe.mp4", 1.0, CPU)._decoded()
    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(next, frames)
        while not (children := set(psutil.Process().children()) - others):
            time.sleep(0.01)
        (child,) = children
        while child.rlimit(psutil.RLIMIT_CORE) != (0, 0):  # the one set last
            time.sleep(0.01)
        assert set(child.environ()) <= {"PATH", "LD_LIBRARY_PATH", "TMPDIR", "LC_CTYPE"}
        assert (child.rlimit(psutil.RLIMIT_FSIZE)[0], child.rlimit(psutil.RLIMIT_AS)[0]) == (2**20, 4 * 2**30)
        child.kill()
        with pytest.raises(Unavailable, match="in the middle"):
            reading.result(20)


@pytest.mark.parametrize(
    "header", [(1, 1, 0, 64), (1, 1, 64, 5000), (-1, 1, 64, 64), (1, -1, 64, 64), (11, 0, 64, 64), (0, 28, 64, 64)]
)
def test_a_child_that_talks_nonsense_is_not_believed(tmp_path: Path, header: tuple[int, ...]):
    """Sizes that nobody takes, and more frames than one second has slots for, end the film there."""
    film = Film(tmp_path / "film.mp4", 1.0, CPU)
    film._make_sense_of(9, 26, 64, 64)
    with pytest.raises(Rejected, match="makes no sense"):
        Film(tmp_path / "film.mp4", 1.0, CPU)._make_sense_of(*header)
    with pytest.raises(Rejected, match="makes no sense"):
        film._make_sense_of(9, 26, 64, 64)


def test_the_decoding_child_does_without_torch():
    """It starts in a moment: neither torch nor what needs it is imported."""
    code = "import sys; sys.modules['torch'] = None; import av, worker.engines.mmaudio.sending"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_two_passes_stay_within_rounding_of_the_cpu_kernel():
    """The rule for GPUs differs by at most 2/255 on one pixel in a hundred of white noise, up and down."""
    picture = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (2, 3, 270, 480), dtype=np.uint8))
    for size in [(384, 384), (224, 398), (60, 50)]:
        ours, kernel = resize.two_passes(picture, *size).int(), resize.resize(picture, *size).int()
        assert (ours - kernel).abs().max() <= 2
        assert (ours != kernel).float().mean() < 1e-2


@pytest.mark.parametrize(("source", "target"), [(1920, 384), (1080, 224), (320, 384)])
def test_the_weights_lose_nothing_in_tensor_cores(source: int, target: int):
    """Rounded to the ten bits that tensor cores keep, both parts together are the weights to one in a million."""
    coarse, fine = resize._taps(source, target, CPU)
    kept = [(part.view(torch.int32) & ~0x1FFF).view(torch.float32) for part in (coarse, fine)]
    assert torch.equal(kept[0], coarse)
    assert torch.allclose(kept[0].double() + kept[1], coarse.double() + fine, atol=1e-6, rtol=0)
    assert torch.allclose((coarse.double() + fine).sum(dim=0), torch.ones(target, dtype=torch.float64), atol=1e-6)


def test_the_decoder_goes_with_the_device():
    """torchcodec decodes on a GPU box, PyAV elsewhere."""
    assert (usual("cuda"), usual("cpu")) == ("torchcodec", "pyav")


def test_torchcodec_chooses_the_same_frames(film: Path):
    """The decoder of the GPU box gives the same times and, up to rounding, the same pixels."""
    theirs, ours = list(torchcodec_shots(film)), list(pyav_shots(film))
    assert [shot.time_s for shot in theirs] == pytest.approx([shot.time_s for shot in ours], abs=1e-9)
    apart = np.abs(theirs[10].pixels().astype(int) - ours[10].pixels().astype(int))
    assert apart.max() <= 3


FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def converted(source: Path, target: Path, *options: str) -> Path:
    """The source through ffmpeg; options that begin with `-display` belong to the input."""
    of_input = options if options[0].startswith("-display") else ()
    of_output = ("-c", "copy") if of_input else options
    subprocess.run([FFMPEG, "-v", "error", *of_input, "-i", source, *of_output, target], check=True)
    return target


@pytest.mark.parametrize(
    "options",
    [("-display_rotation", "90"), ("-display_rotation", "180"), ("-c:v", "libx265", "-pix_fmt", "yuv420p10le")],
    ids=["turned", "upside-down", "ten bits"],
)
def test_what_torchcodec_reads_differently_is_decoded_by_pyav(film: Path, tmp_path: Path, options: tuple[str, ...]):
    """Rotated films and those of ten bits give the same pixels with either decoder."""
    made = converted(film, tmp_path / "made.mp4", *options)
    theirs, ours = list(torchcodec_shots(made)), list(pyav_shots(made))
    assert len(theirs) == len(ours) > 60
    assert np.array_equal(theirs[10].pixels(), ours[10].pixels())


@torch.inference_mode()
def test_streaming_features_are_those_of_the_whole_film(film: Path, engine):
    """Encoders fed chunk by chunk see what they would see at once."""
    runtime = engine._runtime
    read = Film(film, 3.0, CPU)
    watcher = Watcher(runtime.image, runtime.synchformer)
    watcher.watch(read, lambda: False)
    seen = watcher.features(read.cut.duration_s, read.cut.clip, 64)
    clip, sync = directly(film, 3.0)
    whole = runtime.synchformer(resize.sync_pixels(sync[: read.cut.sync])[None])[0]
    assert seen.sync is not None
    assert torch.allclose(seen.clip, runtime.image(resize.clip_pixels(clip[: read.cut.clip])), atol=1e-5)
    assert torch.allclose(seen.sync, whole, atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_the_size_of_the_batches_changes_nothing(film: Path, engine, size: int):
    """Chunks without a frame for CLIP, as a film's last one may be, and batches that end with a chunk."""
    runtime, seen = engine._runtime, []
    for batch, limit in ((64, 10**9), (size, 2 * 320 * 180 * 3)):
        encoding = Encoding(Batching(batch), Batching(batch))
        read = Film(film, 1.7, CPU, chunk_bytes=limit)
        watcher = Watcher(runtime.image, runtime.synchformer, encoding=encoding)
        watcher.watch(read, lambda: False)
        seen.append(watcher.features(read.cut.duration_s, read.cut.clip, 32))
    assert torch.allclose(seen[0].clip, seen[1].clip, atol=1e-5)
    assert torch.allclose(seen[0].sync, seen[1].sync, atol=1e-4)


def test_encoders_remember_how_many_frames_fit():
    """A batch that does not fit is halved, and the next film starts with the size that did."""
    tried: list[int] = []

    def encode(items: torch.Tensor) -> torch.Tensor:
        tried.append(len(items))
        if len(items) > 2:
            raise torch.OutOfMemoryError
        return 2 * items

    batching, items = Batching(8), torch.arange(5.0)
    assert torch.equal(in_batches(encode, items, batching), 2 * items)
    assert torch.equal(in_batches(encode, items, batching), 2 * items)
    assert tried == [5, 2, 2, 1, 2, 2, 1]


@torch.inference_mode()
def test_fewer_clip_frames_are_held(film: Path, engine):
    """At a lower rate every n-th vector stands for the ones after it."""
    runtime = engine._runtime
    features = []
    for every in (1, 4):
        watcher = Watcher(runtime.image, None, every=every)
        watcher.watch(Film(film, 2.0, CPU), lambda: False)
        features.append(watcher.features(2.0, 16, 0).clip)
    assert torch.allclose(features[1], features[0][::4].repeat_interleave(4, dim=0), atol=1e-5)
