"""The one folder that an assistant may use: nothing outside of it is read or written, whoever changes what meanwhile.

A path is resolved first, links and all, and refused when it leads out. What is left is then walked from the folder, which is
held open, name by name and through no link: who swaps a part of it for a link after the look is met by an error.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PosixPath
from typing import BinaryIO, Final, Self

from rhythmai.errors import BadInput

ENTER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would be waited for
CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Film(PosixPath):
    """A file of the folder by its resolved path; however often it is opened, it is opened in there."""

    folder: Folder

    def open(self, *_: object, **__: object) -> BinaryIO:  # type: ignore[override]
        return self.folder.read(self)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        with self.open() as file:
            return os.fstat(file.fileno())

    def resolve(self, strict: bool = False) -> Path:  # type: ignore[override]
        return PosixPath(self)


class Folder:
    """All calls raise BadInput, with what to do; paths are relative to the folder, or absolute and in it."""

    def __init__(self, root: Path) -> None:
        try:
            self.path = root.resolve(strict=True)
            self._fd = os.open(self.path, ENTER)
        except (OSError, RuntimeError, ValueError) as error:
            raise BadInput(f"{root} is not a folder that can be used ({error}): name one with --root") from None

    def film(self, text: str) -> Film:
        """A file to read."""
        film = Film(self._inside(text))
        film.folder = self
        film.stat()
        return film

    def read(self, path: Path) -> BinaryIO:
        """Open a resolved path."""
        try:
            with self._entered(path) as (place, name):
                file = os.fdopen(os.open(name, READ, dir_fd=place), "rb")
        except OSError as error:
            raise BadInput(
                f"{path} cannot be read ({error.strerror}): give the path of a video under {self.path}, or a URL"
            ) from None
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise BadInput(f"{path} is not a file: give the path of a video under {self.path}, or a URL")
        return file

    def has(self, text: str) -> Path | None:
        """Where a file is, if it is there already."""
        path = self._inside(text)
        try:
            with self._entered(path) as (place, name):
                found = os.stat(name, dir_fd=place, follow_symlinks=False)
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode):
            raise BadInput(f"{path} is in the way, and is no file: name another")
        return path

    @contextmanager
    def new(self, text: str) -> Iterator[tuple[Path, BinaryIO]]:
        """A file that was not there, with the folders above it. It appears when the context ends well."""
        path = self._inside(text)
        part = f".{secrets.token_hex(8)}.part"
        try:
            with self._entered(path, make=True) as (place, name):
                file = os.fdopen(os.open(part, CREATE, 0o666, dir_fd=place), "wb")
                try:
                    with file:
                        yield path, file
                    # A link, unlike a move, takes nobody's place.
                    os.link(part, name, src_dir_fd=place, dst_dir_fd=place, follow_symlinks=False)
                finally:
                    os.unlink(part, dir_fd=place)
        except FileExistsError:
            raise BadInput(f"{path} is there already, and is not overwritten: name another file") from None
        except OSError as error:
            raise BadInput(
                f"{path} cannot be written ({error.strerror}): name another file under {self.path}"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def _inside(self, text: str) -> Path:
        try:
            path = (self.path / text).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise BadInput(f"{text!r} is no path ({error}): give one under {self.path}") from None
        if path == self.path or not path.is_relative_to(self.path):
            raise BadInput(f"{text} leads out of {self.path}, and nothing else is read or written: give a file in it")
        return path

    @contextmanager
    def _entered(self, path: Path, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """A descriptor of the folder that a resolved path is in, and its name there. Raises OSError."""
        *folders, name = path.relative_to(self.path).parts
        place = os.dup(self._fd)
        try:
            for folder in folders:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(folder, dir_fd=place)
                inner = os.open(folder, ENTER, dir_fd=place)
                os.close(place)
                place = inner
            yield place, name
        finally:
            os.close(place)
