"""The chosen frames of a video, chunk by chunk, from a child process that decodes: hostile files die elsewhere."""

from __future__ import annotations

import fcntl
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import torch
from torch import Tensor

from worker.engines.mmaudio.chunk import Chunk
from worker.engines.mmaudio.copies import on_device
from worker.engines.mmaudio.decoding import Decoder
from worker.engines.mmaudio.frame_file import frame_file_of, read_frames
from worker.engines.mmaudio.lengths import CLIP_FPS, SYNC_FPS
from worker.engines.mmaudio.selection import Cut, Selection
from worker.engines.mmaudio.sending import HEADER, REFUSED
from worker.errors import Rejected, Unavailable
from worker.pipeline.look.child import Limits, bare_environment, confine

__all__ = ["Chunk", "Film"]
CHUNK_BYTES = 64 * 2**20
"""Raw frames held at once, however long and large the video is."""
PIPE_BYTES = 2**20
MOST_SIDE = 4096
"""Larger pictures were refused when the film was looked at."""
LIMITS = Limits(cpu=timedelta(minutes=20), file_bytes=2**20)
"""Of a child that decodes with PyAV; torchcodec brings torch along, whose libraries alone take more addresses."""
PATIENCE_S = 10.0
"""How long a child that has closed its end may take to end itself."""
SILENCE_S = 60.0
"""How long a child may send nothing: far more than the largest frame takes."""


class Film:
    """Frames of one video for the encoders; iterate once, then ask `cut`."""

    def __init__(
        self,
        path: Path,
        duration_s: float,
        device: torch.device,
        decoder: Decoder = "pyav",
        *,
        chunk_bytes: int = CHUNK_BYTES,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._path, self._device, self._decoder = path, device, decoder
        self._chunk_bytes, self._silence_s = chunk_bytes, silence_s
        self._selection = Selection(duration_s)
        self._announced = (0, 0)

    @property
    def cut(self) -> Cut:
        """What the frames amount to; true once all chunks were read."""
        return self._selection.cut()

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks on the device, from the file of frames if it was decoded already.

        Raises Rejected when the file cannot be decoded, Unavailable when the child dies.
        """
        file = frame_file_of(self._path)
        for chunk in read_frames(file) if file.exists() else self._decoded():
            self._selection.clip.count += int(chunk.clip_repeats.sum())
            self._selection.sync.count += len(chunk.sync)
            yield chunk.on(self._device)

    def _decoded(self) -> Iterator[Chunk]:
        with _child(self._path, self._selection.duration_s, self._decoder) as stream:
            pending: list[tuple[Tensor, tuple[int, int]]] = []
            while (header := self._header(stream)) is not None:
                *repeats, height, width = header
                self._make_sense_of(*header)
                size = height * width * 3
                fits = not pending or (
                    pending[0][0].shape[:2] == (height, width) and (len(pending) + 1) * size <= self._chunk_bytes
                )
                if not fits:
                    yield self._chunk(pending)
                    pending = []
                pending.append((self._frame(stream, height, width), (repeats[0], repeats[1])))
            if pending:
                yield self._chunk(pending)

    def _header(self, stream: IO[bytes]) -> tuple[int, ...] | None:
        raw = bytearray(HEADER.size)
        self._fill(memoryview(raw), stream)
        header = HEADER.unpack(raw)
        return header if header[2] else None

    def _make_sense_of(self, clip: int, sync: int, height: int, width: int) -> None:
        """The child reads hostile bytes and may be taken over by them: what it announces has to fit. Raises Rejected."""
        self._announced = (self._announced[0] + clip, self._announced[1] + sync)
        slots = (int(fps * self._selection.duration_s) + 2 for fps in (CLIP_FPS, SYNC_FPS))
        fits = all(count <= most for count, most in zip(self._announced, slots, strict=True))
        if not fits or min(clip, sync) < 0 or not (0 < height <= MOST_SIDE and 0 < width <= MOST_SIDE):
            raise Rejected("the video cannot be decoded: what was found in it makes no sense; export it again")

    def _frame(self, stream: IO[bytes], height: int, width: int) -> Tensor:
        frame = torch.empty(height, width, 3, dtype=torch.uint8, pin_memory=self._device.type == "cuda")
        self._fill(frame.numpy().reshape(-1).data, stream)
        return frame

    def _fill(self, view: memoryview, stream: IO[bytes]) -> None:
        """Raises Unavailable when the child ends before, TimeoutError when it falls silent."""
        at = 0
        while at < len(view):
            if not select.select([stream], [], [], self._silence_s)[0]:
                raise TimeoutError
            read = stream.readinto(view[at:])  # type: ignore[attr-defined]
            if not read:
                raise Unavailable("the video decoder stopped in the middle of the video")
            at += read

    def _chunk(self, pending: list[tuple[Tensor, tuple[int, int]]]) -> Chunk:
        frames = torch.stack([on_device(frame, self._device) for frame, _ in pending])
        return Chunk.of(frames.permute(0, 3, 1, 2), torch.tensor([repeats for _, repeats in pending]))


@contextmanager
def _child(path: Path, duration_s: float, decoder: Decoder) -> Iterator[IO[bytes]]:
    """A process that decodes; its end is waited for, and a refusal is raised as its own words."""
    root = str(Path(__file__).resolve().parents[3])
    code = (
        f"import sys; sys.path.insert(0, {root!r}); from worker.engines.mmaudio.sending import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", code, str(path), repr(duration_s), decoder]
    with (
        TemporaryFile() as said,
        subprocess.Popen(command, bufsize=0, stdout=subprocess.PIPE, stderr=said, env=bare_environment()) as process,
    ):
        assert process.stdout is not None
        if decoder == "pyav":
            confine(process.pid, LIMITS)
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # a frame in some pieces instead of hundreds
            with suppress(OSError):
                fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        try:
            yield process.stdout
        except TimeoutError:
            raise Unavailable("the video decoder fell silent and was stopped; try again later") from None
        except Unavailable:
            if process.wait(PATIENCE_S) == REFUSED:
                said.seek(0)
                raise Rejected(said.read().decode(errors="replace").strip().splitlines()[-1]) from None
            raise
        finally:
            process.kill()
