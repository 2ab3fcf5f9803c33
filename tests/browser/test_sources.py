"""The page's sources: their types, and the unit tests of what needs no browser."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.contract.hosts import ROOT


@pytest.mark.parametrize("script", ["check", "test"])
def test_the_sources_are_sound(built, script):
    """svelte-check has no error and no warning, and vitest passes."""
    command = [sys.executable, ROOT / "studio" / "build.py", "run", script]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
