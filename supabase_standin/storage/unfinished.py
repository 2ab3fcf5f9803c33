"""Uploads that come in pieces, on disk: beside the bytes of each lies what was said of it, so that both outlive a restart."""

from __future__ import annotations

import base64
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

from supabase_standin.storage.failures import StorageFailure
from supabase_standin.storage.files import Files, Received, disk, unlink

LIFE_S: Final = 86_400
"""How long an upload that does not end is kept."""

tus_failure: Final = partial(StorageFailure, error="TusError", code="TusError")
"""Takes status and message, which are those of the library that the real server uses."""
not_here: Final = partial(tus_failure, 404, message="The file for this url was not found\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """An upload as its creation described it."""

    version: str
    bucket: str
    name: str
    length: int
    """Bytes."""
    metadata: str
    """The header of that name."""

    @property
    def id(self) -> str:
        """Its part of the address."""
        return base64.urlsafe_b64encode(f"{self.bucket}/{self.name}/{self.version}".encode()).decode().rstrip("=")


class Unfinished:
    """A directory of uploads: `<version>` has the bytes until all are there, `<version>.json` what was announced."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def create(self, upload: Announced) -> None:
        """Make room for what comes; uploads that have expired go. Raises StorageFailure."""
        with disk():
            for old in self._files.unfinished.glob("*.json"):
                if _end_of(old) < time.time():
                    unlink(old.with_suffix(""))
                    unlink(old)
            self._bytes(upload).touch()
            self._said(upload.version).write_text(json.dumps(asdict(upload)))

    def find(self, id_: str) -> Announced:
        """Raises StorageFailure: nothing of that address (404), or it has expired (410)."""
        try:
            text = base64.urlsafe_b64decode(id_ + "=" * (-len(id_) % 4)).decode()
            said = self._said(str(uuid.UUID(text.rpartition("/")[2])))
            upload = Announced(**json.loads(said.read_text()))
            expired = _end_of(said) < time.time()
        except (ValueError, FileNotFoundError) as error:
            raise not_here() from error
        if upload.id != id_:  # the right to an object is no right to the pieces of another one
            raise not_here()
        if expired:
            raise tus_failure(410, message="The file for this url no longer exists\n")
        return upload

    def expires_at(self, upload: Announced) -> float:
        """Unix time."""
        return _end_of(self._said(upload.version))

    def offset(self, upload: Announced) -> int:
        """How many bytes are there; all, once they are the object's."""
        with contextlib.suppress(FileNotFoundError):
            return self._bytes(upload).stat().st_size
        return upload.length

    async def append(self, upload: Announced, pieces: AsyncIterator[bytes]) -> None:
        """Whatever happens, what has come stays. Raises StorageFailure above the announced length."""
        room = upload.length - self.offset(upload)
        with disk():
            file = self._bytes(upload).open("ab")
        with contextlib.closing(file):
            async for piece in pieces:
                room -= len(piece)
                if room < 0:
                    raise tus_failure(413, message="upload's size exceeded\n")
                with disk():  # not in a thread: that would write on when this is cancelled
                    file.write(piece)
                    file.flush()

    def waits(self, upload: Announced) -> bool:
        """Whether the bytes, be they all there, have not left yet."""
        return self._bytes(upload).exists()

    def finish(self, upload: Announced) -> Received:
        """The bytes leave for their place. Raises StorageFailure."""
        return self._files.adopt(self._bytes(upload))

    def remove(self, upload: Announced) -> None:
        unlink(self._bytes(upload))
        unlink(self._said(upload.version))

    def _bytes(self, upload: Announced) -> Path:
        return self._files.unfinished / upload.version

    def _said(self, version: str) -> Path:
        return self._files.unfinished / f"{version}.json"


def _end_of(said: Path) -> float:
    return said.stat().st_mtime + LIFE_S
