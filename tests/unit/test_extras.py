"""Which extra brings what."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from rhythmai.project.extras import BRINGS, what_to_install

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_table_says_what_pyproject_says():
    """Each extra's libraries, and no others, are in the table by the names they are imported by."""
    asked = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    named = {
        module: {one.lower().replace("_", "-") for one in found} for module, found in packages_distributions().items()
    }
    for extra, modules in BRINGS.items():
        ours = {re.split(r"[^a-z0-9-]", line)[0] for line in asked[extra]} - {"rhythmai"}
        assert {one for module in modules for one in named[module]} == ours


def test_what_no_extra_brings_is_no_sentence():
    """A module that nobody promised is an error as before."""
    with pytest.raises(ModuleNotFoundError, match="made_up"):
        what_to_install(ModuleNotFoundError("No module named 'made_up'", name="made_up"))
