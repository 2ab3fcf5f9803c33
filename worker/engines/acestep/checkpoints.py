"""The checkpoints: where they come from, and the lock that says which bytes they are.

A checkpoint lies in MODELS_DIR/acestep-NAME as on the hub, with `lock.json` beside: its revision there and the sha256 of every file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from worker.domain import MIT, Licence
from worker.engines.hub import Listed
from worker.errors import Misconfigured

LOCK = "lock.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One that can be asked for."""

    name: str
    repository: str = ""
    """On the hub; empty for one that is made here."""
    revision: str | None = None
    """The commit; None: what is newest at the first pull, and then what is locked."""
    size_mb: int = 0
    maker: str = ""

    @property
    def licence(self) -> Licence:
        """MIT is a tag of a card; no LICENSE file lies beside the weights. Random ones are made here."""
        return (
            Licence("MIT", commercial=True, url=f"https://huggingface.co/{self.repository}") if self.repository else MIT
        )

    def folder(self, models_dir: Path) -> Path:
        return models_dir / f"acestep-{self.name}"


MODELS = {
    row.name: row
    for row in (
        Checkpoint(
            name="xl-turbo",
            repository="ACE-Step/acestep-v15-xl-turbo-diffusers",
            size_mb=11_000,
            maker="ACE-Step",
        ),
        Checkpoint(
            name="turbo",
            repository="Runware/acestep-v15-turbo-diffusers",
            revision="be23effe449c5957947f3020fd63bee23c64abe4",
            size_mb=6300,
            maker="a third party's conversion (Runware)",
        ),
        Checkpoint(name="tiny-random", maker="us, of random numbers"),
    )
}


def model_named(name: str) -> Checkpoint:
    """Raises Misconfigured when none is called so."""
    if name not in MODELS:
        raise Misconfigured(f"ACESTEP_MODEL={name!r} is not a model: choose one of {', '.join(MODELS)}")
    return MODELS[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Which bytes a checkpoint is; without files its pull is not complete."""

    repository: str
    revision: str
    files: dict[str, str] = field(default_factory=dict)
    """The sha256 of each, by its path in the repository."""

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """None where none lies. Raises Misconfigured when it cannot be read."""
        try:
            return cls(**json.loads((folder / LOCK).read_text()))
        except FileNotFoundError:
            return None
        except (OSError, TypeError, ValueError) as error:
            raise Misconfigured(f"{folder / LOCK} cannot be read ({error}): delete it and pull again") from None

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOCK).write_text(json.dumps(asdict(self), indent=1))


def listing(models_dir: Path) -> tuple[Listed, ...]:
    """Every checkpoint that is pulled, and whether all of it is here."""
    return tuple(
        Listed(f"acestep-{row.name}", row.repository, row.size_mb, row.licence.name, not missing(row, models_dir))
        for row in MODELS.values()
        if row.repository
    )


def sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def missing(row: Checkpoint, models_dir: Path) -> list[str]:
    """What of it is not here: files of its lock, or all of it."""
    folder = row.folder(models_dir)
    if (lock := Lock.read(folder)) is None or not lock.files:
        return [folder.name]
    return [name for name in lock.files if not (folder / name).is_file()]


def checked(row: Checkpoint, models_dir: Path) -> Path:
    """Its folder, every file of it whole. Raises Misconfigured, in one line with what to do."""
    folder = row.folder(models_dir)
    if gone := missing(row, models_dir):
        raise Misconfigured(
            f"{row.name} has no weights in {models_dir} (missing {', '.join(gone)}): "
            f"run `rhythmai models pull acestep-{row.name}`, or set ENGINE=sketch"
        )
    lock = Lock.read(folder)
    assert lock is not None
    for name, expected in lock.files.items():
        if (found := sha256(folder / name)) != expected:
            raise Misconfigured(
                f"{folder / name} is not what was pulled (its sha256 is {found} instead of {expected}): "
                f"delete it and run `rhythmai models pull acestep-{row.name}`"
            )
    return folder
