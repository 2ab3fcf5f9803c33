"""Reading where a file comes from, in a confined child: by its manifest, where the library for that is installed, and by its tags."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from worker.errors import Rejected
from worker.pipeline.look.child import Limits, run_child
from worker.pipeline.look.warm_process import WARM

MODULE = "worker.pipeline.look.manifests"


class Said(BaseModel):
    """What a file says of itself."""

    facts: dict[str, str]
    """By its tags."""
    store: dict[str, Any] | None
    """Its manifests, as the library writes them down; None where it has none."""
    state: str | None
    """How they stand: Trusted, Valid, Invalid or Unreadable."""
    refused: str = ""
    """Why they cannot be read."""
    looked: bool
    """Whether the library is installed."""


def load() -> None:
    """Have the warm process load what children need: they see no source of ours."""
    for module in (MODULE, "c2pa"):
        if find_spec(module):
            WARM.need(module)


async def read(path: Path, anchors: Path | None = None) -> Said:
    """`anchors`: a file of certificates in PEM, whose signatures are trusted. Raises Rejected, Unavailable."""
    load()
    opened = [file.absolute() for file in (path, anchors) if file]
    order = json.dumps(dict(zip(("file", "anchors"), map(str, opened), strict=False)))
    ended = await run_child(["read", order], Limits(), task="Reading the file", module=MODULE, reads=opened)
    try:
        return Said.model_validate_json(ended.output)
    except ValidationError:
        why = ended.complaints.strip().splitlines()[-1:] or ["it says nonsense"]
        raise Rejected(f"{path} cannot be read: {why[0]}", code="broken_file") from None
