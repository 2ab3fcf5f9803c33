"""A parity case: one fixture file, read back with the names of its inputs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from tests.engine import generated

Answers = Iterator[tuple[str, Tensor | None]]
"""Tensor names and our values; None for a part that is not built."""


class NotRun(Exception):
    """This case needs something that is not installed here."""


@dataclass(frozen=True, slots=True)
class Case:
    """One fixture file: its name (folder/stem), what its metadata say, and its tensors; sizes that the metadata tell are among them."""

    path: Path
    meta: dict[str, Any]
    expected: dict[str, Tensor]
    device: torch.device
    precision: torch.dtype = torch.float32
    """Of the parts that a GPU computes in less than float32; their parameters are cast as `loading.runtime` casts them."""

    @property
    def vocoder_precision(self) -> torch.dtype:
        return torch.float16 if self.precision is torch.bfloat16 else self.precision

    @classmethod
    def read(cls, path: Path, device: torch.device, precision: torch.dtype = torch.float32) -> Case:
        with safe_open(path, "pt") as file:
            meta = json.loads((file.metadata() or {}).get("meta", "{}"))
            expected = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        for name in ("clip_shape", "sync_shape"):
            if name in meta:
                expected[name] = torch.tensor(meta[name])
        if "returned_duration" in meta:
            expected["returned_ms"] = torch.tensor(round(1000 * meta["returned_duration"]))
        return cls(path, meta, expected, device, precision)

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.stem}"

    @property
    def salt(self) -> str:
        return str(self.meta.get("salt", ""))

    @property
    def is_44k(self) -> bool:
        return "44k" in str(self.meta.get("mode", self.path.stem))

    def sibling(self, name: str) -> Case:
        """The case whose inputs this one uses. Raises NotRun when it is not here."""
        return Case.read(self.beside(Path(name).name + ".safetensors"), self.device, self.precision)

    def beside(self, name: str) -> Path:
        """A file next to this one. Raises NotRun when it is not here."""
        path = self.path.with_name(name)
        if not path.is_file():
            raise NotRun(f"{name} is missing beside {self.path.name}: copy it there")
        return path

    def _made(self, made: generated.Floats) -> Tensor:
        return torch.from_numpy(made).to(self.device)

    def normal(self, suffix: str, *shape: int) -> Tensor:
        return self._made(generated.normal(f"{self.salt}{self.name}/{suffix}", shape))

    def unit(self, suffix: str, *shape: int) -> Tensor:
        return self._made(generated.unit(f"{self.salt}{self.name}/{suffix}", shape))

    def uniform(self, suffix: str, *shape: int) -> Tensor:
        return self._made(generated.uniform(f"{self.salt}{self.name}/{suffix}", shape))
