"""Our numbers are the reference's."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from worker.pipeline.mmaudio import parity

CASES = [
    f"{folder}/{path.stem}"
    for folder in ("tiny", "pre")
    for path in sorted((Path(__file__).parent / "fixtures" / folder).glob("*.safetensors"))
]


@pytest.mark.parametrize("case", CASES)
def test_every_tensor_is_within_its_tolerance(fixtures: Path, case: str):
    """A case of the small set has no tensor further from the reference than its tolerance."""
    lines = list(parity.run(fixtures, case))
    assert [str(line) for line in lines if line.verdict == "FAILED"] == []
    assert any(line.verdict == "ok" for line in lines)


def test_a_tensor_beyond_its_tolerance_fails_the_command(fixtures: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    """The command names the tensor, its error and its tolerance, and exits with 1."""
    (tmp_path / "tiny").mkdir()
    shutil.copy(fixtures / "tiny" / "tables.safetensors", tmp_path / "tiny")
    tolerances = {"tiny/tables": {"rope.latent24": -1.0}}
    (tmp_path / "tolerances.json").write_text(json.dumps(tolerances))
    assert parity.main([str(tmp_path)]) == 1
    failed = [line for line in capsys.readouterr().out.splitlines() if "FAILED" in line]
    assert failed[0].split()[:2] == ["tiny/tables", "rope.latent24"]


def test_tensors_without_tolerance_only_inform(fixtures: Path, tmp_path: Path):
    """Without tolerances nothing fails, and parts that are not built say so."""
    (tmp_path / "tiny").mkdir()
    shutil.copy(fixtures / "tiny" / "vae_16k.safetensors", tmp_path / "tiny")
    verdicts = {line.tensor: line.verdict for line in parity.run(tmp_path)}
    assert verdicts["mel"] == "informative"
    assert verdicts["enc.mean"] == "not built"


def test_an_empty_folder_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture):
    """A mistyped folder does not pass for parity."""
    assert parity.main([str(tmp_path)]) == 1
    assert "no fixtures match" in capsys.readouterr().out


def test_a_case_that_cannot_run_counts_as_not_run(fixtures: Path):
    """Without PyAV the frame cases are not run, and the command succeeds."""
    code = (
        "import sys; sys.modules['av'] = None\n"
        "from worker.pipeline.mmaudio.parity import main\n"
        f"sys.exit(main([{str(fixtures)!r}, '--case', 'pre/testsrc_30fps_d2']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "11 not run" in done.stdout
    assert "PyAV is not installed" in done.stdout
