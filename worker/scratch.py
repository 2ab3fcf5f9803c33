"""A worker's own folder for the files of its running jobs. It goes with the worker; what one that was killed left behind, the
next on the machine clears away.

A lock on the folder says that its worker lives: the system drops it with the process, however that ends.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from worker.errors import Misconfigured

log = structlog.get_logger()
PREFIX = "rhythmai-worker-"
_LONGEST = 70
"""Characters of a folder in which sockets of multiprocessing have room: their paths may have 103 on some systems."""


@contextmanager
def scratch(parent: Path | None = None) -> Iterator[Path]:
    """A new folder in `parent` (None: the system's temporary directory), beside those of other workers that live.

    Raises Misconfigured when nothing can be made there.
    """
    place = parent or Path(tempfile.gettempdir())
    try:
        for left in place.glob(f"{PREFIX}*"):
            _clear(left)
        folder, lock = _make(place)
    except OSError as error:
        raise Misconfigured(f"WORK_DIR={place} cannot hold the files of jobs: {error.strerror}") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def keep_in(folder: Path) -> None:
    """From here on temporary files of this process and of those it starts lie there: they go with it, however it ends."""
    if len(str(folder)) <= _LONGEST:
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)


def _make(place: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        # Another worker that starts at this moment may find the folder before it is locked: then it is gone, and we make one more.
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _clear(left: Path) -> None:
    """Remove a folder of ours that no living worker holds."""
    try:
        lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # somebody else's, or gone by now
        return
    try:
        if os.fstat(lock).st_uid == os.getuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
            log.info("scratch.cleared", folder=str(left))
    except BlockingIOError:
        pass
    finally:
        os.close(lock)
