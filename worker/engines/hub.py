"""Weights of the hub: how a file comes from there, and how it is listed."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Progress = Callable[[str, int, int | None], None]
"""Told a file's name, the bytes that are here, and how many there will be, if known."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of `rhythmai models list`."""

    model: str
    file: str
    size_mb: int
    licence: str
    present: bool


def from_hub(repository: str, path: str, folder: Path, progress: Progress, revision: str | None = None) -> Path:
    """Bring `path` of the repository to the same path under `folder`; broken off, it goes on where it was.

    Lets the errors of the hub's client and of its transport through.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    class Bar(tqdm):
        """Tells our progress instead of drawing itself."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._nowhere = Path(os.devnull).open("w")  # noqa: SIM115
            super().__init__(*arguments, **{**options, "file": self._nowhere, "disable": False})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> bool | None:
            shown: bool | None = super().update(n)
            progress(Path(path).name, int(self.n), None if self.total is None else int(self.total))
            return shown

        def close(self) -> None:
            super().close()
            with suppress(AttributeError):
                self._nowhere.close()

    return Path(hf_hub_download(repository, path, revision=revision, local_dir=folder, tqdm_class=Bar))
