"""A file with musical directions of one's own, a JSON or YAML list of them, or a brief with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from rhythmai.errors import BadInput

LIKE = 'like [{"prompt": "slow cinematic piano", "title": "First snow", "tempo_bpm": 72, "key": "D minor"}]'


def read_plan(path: Path) -> list[Any]:
    """The directions as the API takes them; a bare text is the prompt of one. Raises BadInput."""
    return _directions(path, _read(path))


def read_brief(path: Path) -> dict[str, Any]:
    """What a brief, perhaps edited, asks of the API: plan, hits and seed, as far as they are there, and the film's address. Raises BadInput."""
    found = _read(path)
    if not isinstance(found, dict) or "directions" not in found:
        raise BadInput(f"{path} holds no brief: `rhythmai brief VIDEO --json` writes one")
    asked = {name: found[name] for name in ("video_url", "hits", "seed") if found.get(name) is not None}
    return {**asked, "plan": _directions(path, found["directions"])}


def _read(path: Path) -> Any:
    try:
        text = path.read_text()
        # What only YAML knows, such as dates, is meant as text.
        return json.loads(json.dumps(yaml.safe_load(text), default=str))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, yaml.YAMLError) as error:
        raise BadInput(f"{path} is neither JSON nor YAML: {' '.join(str(error).split())}") from None


def _directions(path: Path, found: Any) -> list[Any]:
    if not isinstance(found, list) or not found:
        raise BadInput(f"{path} holds no list of directions: write them {LIKE}")
    return [{"prompt": direction} if isinstance(direction, str) else direction for direction in found]
