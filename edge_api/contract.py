"""The hand-written description of the API, `openapi.yaml`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

OPENAPI: Final = Path(__file__).with_name("openapi.yaml")


@cache
def contract() -> dict[str, Any]:
    """What `/openapi.json` answers; read once."""
    described: dict[str, Any] = yaml.safe_load(OPENAPI.read_text())
    return described
