"""The page's sources: their types, and the unit tests of what needs no browser."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize("script", ["check", "test"])
def test_the_sources_are_sound(script):
    """svelte-check has no error and no warning, and vitest passes."""
    command = [sys.executable, ROOT / "studio" / "build.py", "run", script]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_to_do_is_said_of_errors_that_there_are():
    """Each code of an error that the page has words for is one that a worker gives."""
    worker = " ".join(file.read_text() for file in (ROOT / "worker").rglob("*.py"))
    known = re.findall(r'codes\("([^"]+)"', (ROOT / "studio" / "src" / "strings.ts").read_text())
    codes = " ".join(known).split()
    assert codes
    assert [code for code in codes if f'code="{code}"' not in worker] == []
