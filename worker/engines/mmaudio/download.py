"""Brings an official file to disk: from the hub, else from the release with resuming; checked, fetched again once if corrupt."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from worker.engines.hub import Progress, from_hub
from worker.engines.mmaudio.weights import File, files_of, model_named
from worker.errors import Misconfigured, Unavailable

log = logging.getLogger(__name__)

RELEASE = "https://github.com/hkchengrex/MMAudio/releases/download/v0.1"
"""Where the files of `ext_weights` were published first."""
BLOCK_BYTES = 2**20
ANSWER_WITHIN_S = 60.0


def pull(model: str, models_dir: Path, progress: Progress) -> None:
    """Bring every file of a model to `models_dir` and check it; what is there and whole is left alone.

    Raises Misconfigured (unknown model; a file that stays corrupt), Unavailable (no way to a file).
    """
    import huggingface_hub  # noqa: F401 - where it is not installed, that is not the hub's fault

    for file in files_of(model_named(model)):
        fetch(file, models_dir, progress, RELEASE)


def fetch(file: File, models_dir: Path, progress: Progress, release: str) -> Path:
    """The file, whole and checked. Raises Misconfigured when it stays corrupt, Unavailable when it cannot be had."""
    for last in (False, True):
        path = file.found(models_dir) or _download(file, models_dir, progress, release)
        wrong = _wrong(file, path)
        if wrong is None:
            progress(file.name, path.stat().st_size, path.stat().st_size)
            return path
        path.unlink()
        if last:
            raise Misconfigured(f"{file.name} was fetched twice and is corrupt: {wrong}; try again later or elsewhere")
        log.warning("%s is corrupt and is fetched again: %s", path, wrong)
    raise AssertionError


def _wrong(file: File, path: Path) -> str | None:
    """Why the file on disk is not the official one, or None."""
    algorithm = "sha256" if file.md5 is None else "md5"
    expected = file.md5 or file.sha256 or _sha256_on_hub(file, path.name)
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, algorithm).hexdigest()
    return None if found == expected else f"its {algorithm} is {found} instead of {expected}"


def _sha256_on_hub(file: File, name: str) -> str:
    """The hub keeps large files under their sha256 and says it before it sends them."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        etag = get_hf_file_metadata(hf_hub_url(file.repository, name)).etag or ""
    except Exception as error:
        raise Unavailable(f"the hub does not say the checksum of {file.repository}/{name}: {error}") from error
    if len(etag) != 64:
        raise Unavailable(f"the hub does not say the sha256 of {file.repository}/{name}, but {etag!r}")
    return etag


def _download(file: File, models_dir: Path, progress: Progress, release: str) -> Path:
    try:
        return from_hub(file.repository, file.path, models_dir / file.folder, progress)
    except Exception as error:
        # The hub's client lets the errors of its transport through: whatever it was, the other places may serve.
        if file.alternative is not None:
            return _download(replace(file, path=file.alternative, alternative=None), models_dir, progress, release)
        if not file.release:
            raise Unavailable(f"{file.repository}/{file.path} cannot be fetched from the hub: {error}") from error
        log.info("%s is not to be had from the hub (%s), trying the release", file.path, error)
        return _from_release(f"{release}/{file.name}", file.under(models_dir), progress)


def _from_release(url: str, path: Path, progress: Progress) -> Path:
    """Continue a part that is there already, where the server can; otherwise from the start."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    done = part.stat().st_size if part.is_file() else 0
    total: int | None = None
    request = Request(url, headers={"Range": f"bytes={done}-"} if done else {})  # noqa: S310
    try:
        with urlopen(request, timeout=ANSWER_WITHIN_S) as answer:  # noqa: S310
            continues = answer.status == 206
            done = done if continues else 0
            total = done + int(answer.headers["Content-Length"]) if answer.headers["Content-Length"] else None
            with part.open("ab" if continues else "wb") as opened:
                while block := answer.read(BLOCK_BYTES):
                    opened.write(block)
                    done += len(block)
                    progress(path.name, done, total)
    except HTTPError as error:
        if error.code != 416:  # everything is here already
            raise Unavailable(f"{url} answers {error.code} {error.reason}") from error
        error.close()
    except (URLError, OSError) as error:
        raise Unavailable(f"{url} cannot be reached: {error}; what has come is kept, run the command again") from error
    if total is not None and done < total:
        raise Unavailable(f"{url} broke off after {done} of {total} bytes; run the command again to continue")
    part.rename(path)
    return path
