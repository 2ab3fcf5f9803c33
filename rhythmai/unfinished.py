"""Uploads that are not through, in files of the user: a new process goes on with them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TextIO

DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An upload that Storage has something of."""

    ticket: dict[str, Any]
    """The answer of POST /api/v1/upload."""
    location: str

    @property
    def has_expired(self) -> bool:
        return datetime.fromisoformat(self.ticket["expires_at"]) <= datetime.now(UTC)


class Unfinished:
    """What is known of one upload; without a file, nothing ever is."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file

    def recall(self) -> Begun | None:
        if self._file:
            with suppress(ValueError, TypeError, KeyError):  # a process may have died in the middle of a word
                self._file.seek(0)
                begun = Begun(**json.load(self._file))
                begun.has_expired  # noqa: B018 - what cannot be asked this is no record of ours
                return begun
        return None

    def keep(self, begun: Begun | None) -> None:
        if self._file:
            with suppress(OSError):
                self._file.seek(0)
                self._file.truncate()
                if begun:
                    json.dump({"ticket": begun.ticket, "location": begun.location}, self._file)
                self._file.flush()


@contextmanager
def unfinished(path: Path, api: str) -> Iterator[Unfinished]:
    """What is known of the upload of this very file, as it is now, to that API.

    Where nothing can be kept, or while another process is at the same upload, nothing is known and nothing is kept.
    """
    stat = path.stat()
    identity = f"{api}\n{path.resolve()}\n{stat.st_size}\n{stat.st_mtime_ns}"
    record = _folder() / f"{sha256(os.fsencode(identity)).hexdigest()[:32]}.json"
    file = _held(record)
    try:
        yield Unfinished(file)
    finally:
        if file:
            with suppress(OSError):
                if not record.stat().st_size:
                    record.unlink()
            file.close()


def _held(record: Path) -> TextIO | None:
    """The file, ours alone until it is closed: it has the right to upload, so nobody else reads it."""
    try:
        import fcntl

        record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in record.parent.glob("*.json"):
            if old.stat().st_mtime < time.time() - DAY_S:
                old.unlink()
        file = open(os.open(record, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8")  # noqa: PTH123, SIM115
    except (ImportError, OSError):  # some systems cannot hold a file
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _folder() -> Path:
    """By the XDG rule: what may be lost."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rhythmai" / "uploads"
