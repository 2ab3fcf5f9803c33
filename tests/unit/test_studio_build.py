"""studio/build.py where npm cannot be reached, as `make demo` calls it and as `make studio` does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from rhythmai.local.postgres import free_port
from tests.conftest import ROOT


@pytest.mark.parametrize(("arguments", "code"), [(["--if-possible"], 0), ([], 1)])
def test_one_line_says_that_npm_cannot_be_reached(tmp_path, arguments, code):
    """A fresh clone without a network: one line says why; the demo goes on, a build that was asked for fails."""
    (tmp_path / "studio").mkdir()
    for name in ("build.py", "package.json", "package-lock.json"):
        shutil.copy(ROOT / "studio" / name, tmp_path / "studio")
    away = {"npm_config_registry": f"http://127.0.0.1:{free_port()}", "npm_config_cache": str(tmp_path / "cache")}
    command = [sys.executable, tmp_path / "studio" / "build.py", *arguments]
    done = subprocess.run(command, env=os.environ | away, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("studio: ")
    assert "connect ECONNREFUSED" in line
