"""The bytes: one file for each version of an object, named by us, so that no client's path ever meets the disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from supabase_standin.storage.failures import disk_failure, log, no_object, too_large

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
        self.unfinished = root / "unfinished"
        """Uploads that come in pieces lie here, and outlive a restart."""

    def open(self) -> None:
        """Make the directories; what an earlier crash left half received goes. Raises StorageFailure."""
        shutil.rmtree(self._partial, ignore_errors=True)
        with disk():
            self._partial.mkdir(parents=True, exist_ok=True)
            self._objects.mkdir(parents=True, exist_ok=True)
            self.unfinished.mkdir(parents=True, exist_ok=True)

    def path(self, version: str | None) -> Path:
        """Raises FileNotFoundError for a version that we cannot have given."""
        try:
            name = str(uuid.UUID(version or ""))
        except ValueError as error:
            raise FileNotFoundError(version) from error
        return self._objects / name[:2] / name

    def find(self, version: str | None) -> Path:
        """The file of a version. Raises StorageFailure when it is not there."""
        try:
            path = self.path(version)
            path.stat()
        except FileNotFoundError as error:
            raise no_object() from error
        except OSError as error:
            raise disk_failure(error) from error
        return path

    async def receive(self, pieces: AsyncIterator[bytes], limit: int) -> Received:
        """Stream to disk. Raises StorageFailure above `limit` bytes; whatever happens, half an upload leaves nothing."""
        partial = self._partial / str(uuid.uuid4())
        try:
            await self._write(partial, pieces, limit)
            return self.adopt(partial)
        finally:
            unlink(partial)

    def adopt(self, partial: Path) -> Received:
        """A whole file under the name of its version becomes that version's. Raises StorageFailure."""
        final = self.path(partial.name)
        with disk():
            final.parent.mkdir(parents=True, exist_ok=True)
            partial.rename(final)
            return Received(version=partial.name, size=final.stat().st_size, etag=etag_of(final))

    async def _write(self, partial: Path, pieces: AsyncIterator[bytes], limit: int) -> None:
        size = 0
        with disk():
            partial.parent.mkdir(parents=True, exist_ok=True)
            file = partial.open("xb")
        try:
            waiting = bytearray()
            async for piece in pieces:
                size += len(piece)
                if size > limit:
                    raise too_large()
                waiting += piece
                if len(waiting) >= PIECE:
                    await asyncio.to_thread(_append, file, bytes(waiting))
                    waiting.clear()
            await asyncio.to_thread(_append, file, bytes(waiting))
        finally:
            with disk():
                file.close()  # tries again to write what a full disk refused

    def copy(self, version: str | None) -> Received:
        """A second version with the same bytes. Raises StorageFailure."""
        source, copy = self.find(version), str(uuid.uuid4())
        target = self.path(copy)
        with disk():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, target)  # versions never change: two names for one file are as good as two files
            except FileNotFoundError as error:
                raise no_object() from error
            except OSError:
                shutil.copyfile(source, target)
            return Received(version=copy, size=target.stat().st_size, etag=etag_of(target))

    def remove(self, version: str | None) -> None:
        """Nothing happens when it is gone already."""
        if version:
            with contextlib.suppress(FileNotFoundError):
                unlink(self.path(version))


@contextlib.contextmanager
def disk() -> Iterator[None]:
    """What the disk says, in Storage's words: elsewhere an OSError tells of the database, or of a client that has gone."""
    try:
        yield
    except OSError as error:
        raise disk_failure(error) from error


def _append(file: BinaryIO, piece: bytes) -> None:
    with disk():
        file.write(piece)
        file.flush()


def unlink(path: Path) -> None:
    """The row is gone or never came: a file that cannot be removed is the log's affair, not the client's."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("storage.orphan: %s cannot be removed: %s", path, error.strerror)


def etag_of(path: Path) -> str:
    """The entity tag that aiohttp's FileResponse answers with for this file."""
    stat = path.stat()
    return f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
