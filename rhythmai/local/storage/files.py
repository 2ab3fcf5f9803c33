"""The bytes: one file for each version of an object, named by us, so that no client's path ever meets the disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from rhythmai.local.storage.failures import no_object, too_large

PIECE: Final = 1 << 20
"""Bytes are written to disk in pieces of this size, in a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A whole upload, not yet an object."""

    version: str
    size: int
    etag: str


class Files:
    """A directory of versions."""

    def __init__(self, root: Path) -> None:
        self._objects = root / "objects"
        self._partial = root / "partial"

    def open(self) -> None:
        """Make the directories; what an earlier crash left half received goes."""
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        self._objects.mkdir(parents=True, exist_ok=True)

    def path(self, version: str) -> Path:
        """Raises FileNotFoundError for a version that we cannot have given."""
        try:
            name = str(uuid.UUID(version))
        except ValueError as error:
            raise FileNotFoundError(version) from error
        return self._objects / name[:2] / name

    def find(self, version: str) -> Path:
        """The file of a version. Raises StorageFailure when it is not there."""
        try:
            path = self.path(version)
            path.stat()
        except FileNotFoundError as error:
            raise no_object() from error
        return path

    async def receive(self, pieces: AsyncIterator[bytes], limit: int | None) -> Received:
        """Stream to disk. Raises StorageFailure above `limit` bytes; whatever happens, half an upload leaves nothing."""
        version = str(uuid.uuid4())
        partial = self._partial / version
        try:
            size = await self._write(partial, pieces, limit)
            final = self.path(version)
            final.parent.mkdir(exist_ok=True)
            partial.rename(final)
        finally:
            partial.unlink(missing_ok=True)
        return Received(version=version, size=size, etag=_etag(final))

    async def _write(self, partial: Path, pieces: AsyncIterator[bytes], limit: int | None) -> int:
        size = 0
        with partial.open("xb") as file:
            waiting = bytearray()
            async for piece in pieces:
                size += len(piece)
                if limit is not None and size > limit:
                    raise too_large()
                waiting += piece
                if len(waiting) >= PIECE:
                    await asyncio.to_thread(_append, file, bytes(waiting))
                    waiting.clear()
            await asyncio.to_thread(_append, file, bytes(waiting))
        return size

    def copy(self, version: str) -> Received:
        """A second version with the same bytes. Raises FileNotFoundError."""
        source, copy = self.path(version), str(uuid.uuid4())
        target = self.path(copy)
        target.parent.mkdir(exist_ok=True)
        try:
            os.link(source, target)  # versions never change: two names for one file are as good as two files
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(source, target)
        return Received(version=copy, size=target.stat().st_size, etag=_etag(target))

    def remove(self, version: str | None) -> None:
        """Nothing happens when it is gone already."""
        if version:
            with contextlib.suppress(FileNotFoundError):
                self.path(version).unlink()


def _append(file: BinaryIO, piece: bytes) -> None:
    file.write(piece)


def _etag(path: Path) -> str:
    """The entity tag that aiohttp's FileResponse answers with for this file."""
    stat = path.stat()
    return f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
