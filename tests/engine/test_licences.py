"""Every engine says under which licence its music stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.domain import MIT
from worker.engines.acestep import checkpoints
from worker.engines.acestep.engine import AceStepEngine
from worker.engines.mmaudio import models
from worker.engines.mmaudio.engine import MMAudioEngine
from worker.engines.sketch.engine import SketchEngine


def test_every_checkpoint_has_a_licence(engine: MMAudioEngine):
    """MMAudio's forbid sales; those of ACE-Step allow them, by the tag of a card that is named."""
    found = {name: model.licence for name, model in models.MODELS.items()}
    assert {(one.name, one.commercial) for one in found.values()} == {("CC-BY-NC-4.0", False)}
    assert engine.licence == found["large_44k_v2"]
    assert checkpoints.MODELS["xl-turbo"].licence.url.endswith("/ACE-Step/acestep-v15-xl-turbo-diffusers")
    assert {(row.licence.name, row.licence.commercial) for row in checkpoints.MODELS.values()} == {("MIT", True)}


@pytest.mark.parametrize("make", [lambda at: SketchEngine(), lambda at: AceStepEngine.load("tiny-random", at, "cpu")])
def test_what_has_nobodys_weights_is_ours(make, tmp_path: Path):
    """The sketch has no weights, and the random ones of the tests are made here: MIT, and free to sell."""
    assert make(tmp_path).licence == MIT
