"""Every engine says under which licence its music stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine import acestep
from worker.domain import MIT
from worker.engines.acestep import checkpoints
from worker.engines.licences import commercial, licence_of
from worker.engines.mmaudio import models
from worker.engines.mmaudio.engine import MMAudioEngine
from worker.engines.sketch.engine import SketchEngine
from worker.errors import Misconfigured


def test_every_checkpoint_has_a_licence(engine: MMAudioEngine):
    """MMAudio's forbid sales; those of ACE-Step allow them, by the tag of a card that is named."""
    found = {name: model.licence for name, model in models.MODELS.items()}
    assert {(one.name, one.commercial) for one in found.values()} == {("CC-BY-NC-4.0", False)}
    assert engine.licence == found["large_44k_v2"]
    assert checkpoints.MODELS["xl-turbo"].licence.url.endswith("/ACE-Step/acestep-v15-xl-turbo-diffusers")
    assert {(row.licence.name, row.licence.commercial) for row in checkpoints.MODELS.values()} == {("MIT", True)}


@pytest.mark.parametrize("make", [lambda at: SketchEngine(), lambda at: acestep.load("tiny-random", at, "cpu")])
def test_what_has_nobodys_weights_is_ours(make, tmp_path: Path):
    """The sketch has no weights, and the random ones of the tests are made here: MIT, and free to sell."""
    assert make(tmp_path).licence == MIT


def test_a_licence_is_known_before_weights_are_loaded():
    """For every model of every engine it is the one that the loaded engine has."""
    for name, model in models.MODELS.items():
        assert licence_of("mmaudio", name) == model.licence
    for name, row in checkpoints.MODELS.items():
        assert licence_of("acestep", name) == row.licence
    assert licence_of("sketch", "") == SketchEngine().licence
    with pytest.raises(Misconfigured, match="ACESTEP_MODEL='huge' is not a model"):
        licence_of("acestep", "huge")


@pytest.mark.parametrize("model", ["large_44k_v2", "small_16k"])
def test_what_may_not_be_used_commercially_is_refused(model):
    """With COMMERCIAL_ONLY one sentence names engine, model, licence and the way out."""
    with pytest.raises(Misconfigured) as caught:
        commercial({"mmaudio": model})
    assert str(caught.value) == (
        f"COMMERCIAL_ONLY=true and ENGINE=mmaudio: the weights of mmaudio {model} stand under CC-BY-NC-4.0 "
        "(https://creativecommons.org/licenses/by-nc/4.0/), which allows no commercial use. "
        "Set ENGINE=acestep or ENGINE=sketch, or COMMERCIAL_ONLY=false"
    )


def test_of_several_engines_those_that_may_be_are_used(caplog):
    """In their order; the log says of each of the others why it is not."""
    assert commercial({"acestep": "xl-turbo", "sketch": ""}) == ("acestep", "sketch")
    assert caplog.messages == []
    assert commercial({"mmaudio": "large_44k_v2", "acestep": "turbo", "sketch": ""}) == ("acestep", "sketch")
    (line,) = caplog.messages
    assert "mmaudio large_44k_v2 stand under CC-BY-NC-4.0" in line
    assert "this worker does without it" in line
