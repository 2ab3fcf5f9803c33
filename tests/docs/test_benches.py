"""Every bench explains itself when asked: none was left behind by what it measures."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
ASKED = sorted(
    path.name for path in BENCH.glob("*.py") if "ArgumentParser(" in path.read_text() and "__main__" in path.read_text()
)


@pytest.mark.parametrize("name", ASKED)
def test_a_bench_answers_when_asked(name: str):
    """Its imports are there, and --help says how it is called."""
    command = [sys.executable, BENCH / name, "--help"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert "usage: " in done.stdout
