"""A film's frames at the encoders' sizes, on a file beside it: 7.3 MB a second of film at most, gone with the job's folder."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from worker.engines.mmaudio import resize
from worker.engines.mmaudio.chunk import Chunk
from worker.engines.mmaudio.copies import on_host
from worker.errors import Cancelled, Unavailable

HEADER = struct.Struct("<2q")
"""How many frames a chunk has for CLIP, and for Synchformer."""
CLIP_SHAPE, SYNC_SHAPE = (3, resize.CLIP_SIDE, resize.CLIP_SIDE), (3, resize.SYNC_SIDE, resize.SYNC_SIDE)


def frame_file_of(film: Path) -> Path:
    return film.with_name(f"{film.name}.frames")


def write_frames(film: Path, chunks: Iterator[Chunk], cancelled: Callable[[], bool]) -> None:
    """Write chunks down; there is a file of frames once all of them are there. Raises Cancelled, Unavailable (no_disk)."""
    part = film.with_name(f"{film.name}.partial")
    try:
        with part.open("wb") as file:
            for chunk in chunks:
                if cancelled():
                    raise Cancelled("the job was cancelled while its video was decoded")
                file.write(HEADER.pack(len(chunk.clip), len(chunk.sync)))
                for tensor in (chunk.clip_repeats, chunk.clip, chunk.sync):
                    file.write(on_host(tensor).contiguous().numpy().data)
        part.rename(frame_file_of(film))
    except OSError as error:
        raise Unavailable(
            f"The worker could not store the video's frames on its disk ({error.strerror}); try again later",
            code="no_disk",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def read_frames(path: Path) -> Iterator[Chunk]:
    """The same chunks, on the host."""
    with path.open("rb") as file:
        while head := file.read(HEADER.size):
            clip, sync = HEADER.unpack(head)
            repeats = _read(file, (clip,), np.int64)
            yield Chunk(_read(file, (clip, *CLIP_SHAPE), np.uint8), repeats, _read(file, (sync, *SYNC_SHAPE), np.uint8))


def _read(file: IO[bytes], shape: tuple[int, ...], kind: type[np.generic]) -> Tensor:
    tensor = np.empty(shape, kind)
    file.readinto(tensor.data)  # type: ignore[attr-defined]
    return torch.from_numpy(tensor)
