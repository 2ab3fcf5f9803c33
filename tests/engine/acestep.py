"""ACE-Step for tests: whoever only collects them does not import it, for it is seconds of diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.engines.acestep.engine import AceStepEngine


def load(model: str, models_dir: Path, device: str) -> AceStepEngine:
    from worker.engines.acestep.engine import AceStepEngine

    return AceStepEngine.load(model, models_dir, device)
