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
    # Python alone needs a quarter of a second, libyaml a tenth of that.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    described: dict[str, Any] = yaml.load(OPENAPI.read_text(), loader)  # noqa: S506 - safe, both of them
    return described
