"""Brings a checkpoint to disk: each file of its revision, checked by what the hub says of it, and locked."""

from __future__ import annotations

import hashlib
from pathlib import Path

from worker.engines.acestep.checkpoints import Lock, model_named, sha256
from worker.engines.hub import Progress, from_hub
from worker.errors import Misconfigured, Unavailable

SUFFIXES = frozenset({".safetensors", ".json", ".txt", ".jinja"})
"""What is pulled: weights that run no code when they are read, and settings."""


def pull(name: str, models_dir: Path, progress: Progress) -> None:
    """Bring what is missing of a checkpoint. Raises Misconfigured (unknown, or corrupt twice), Unavailable (no way to the hub)."""
    row = model_named(name)
    if not row.repository:
        raise Misconfigured(f"{name} is not pulled: a worker makes it when it is missing")
    from huggingface_hub import HfApi

    folder = row.folder(models_dir)
    known = Lock.read(folder)
    revision = row.revision or (known.revision if known else None)
    try:
        found = HfApi().model_info(row.repository, revision=revision, files_metadata=True)
    except Exception as error:
        # The hub's client lets the errors of its transport through.
        raise Unavailable(f"the hub does not say what {row.repository} is made of: {error}") from error
    if not found.sha:
        raise Unavailable(f"the hub does not say which revision of {row.repository} it has")
    lock = Lock(repository=row.repository, revision=found.sha)
    if known is None or known.revision != found.sha:
        lock.write(folder)  # a pull that is broken off goes on with this revision
    files = {}
    for file in found.siblings or ():
        if Path(file.rfilename).suffix in SUFFIXES:
            stated = file.lfs.sha256 if file.lfs else None
            files[file.rfilename] = _fetch(lock, folder, file.rfilename, stated, file.blob_id, progress)
    Lock(repository=row.repository, revision=found.sha, files=files).write(folder)


def _fetch(lock: Lock, folder: Path, name: str, stated: str | None, blob: str | None, progress: Progress) -> str:
    """The sha256 of a file that is whole: as the hub states it of large files; of small ones it states git's blob id."""
    for _ in range(2):
        try:
            path = (
                folder / name
                if (folder / name).is_file()
                else from_hub(lock.repository, name, folder, progress, lock.revision)
            )
        except Exception as error:
            raise Unavailable(f"{lock.repository}/{name} cannot be fetched from the hub: {error}") from error
        sum_ = sha256(path)
        if sum_ == stated if stated else _blob_id(path) == blob:
            progress(path.name, path.stat().st_size, path.stat().st_size)
            return sum_
        path.unlink()
    raise Misconfigured(f"{lock.repository}/{name} was fetched twice and is corrupt; try again later or elsewhere")


def _blob_id(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
