"""A file with musical directions of one's own: a JSON or YAML list of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from rhythmai.errors import BadInput

LIKE = 'like [{"prompt": "slow cinematic piano", "title": "First snow", "tempo_bpm": 72, "key": "D minor"}]'


def read_plan(path: Path) -> list[Any]:
    """The directions as the API takes them; a bare text is the prompt of one. Raises BadInput."""
    try:
        text = path.read_text()
        # What only YAML knows, such as dates, is meant as text.
        found = json.loads(json.dumps(yaml.safe_load(text), default=str))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, yaml.YAMLError) as error:
        raise BadInput(f"{path} is neither JSON nor YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, list) or not found:
        raise BadInput(f"{path} holds no list of directions: write them {LIKE}")
    return [{"prompt": direction} if isinstance(direction, str) else direction for direction in found]
