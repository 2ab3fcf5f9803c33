"""Our numbers are the reference's."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.engine import parity

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


def changed(
    source: Path, target: Path, meta: dict[str, object] | None = None, only: str = "", **tensors: torch.Tensor
) -> Path:
    """A copy of a case with some tensors, or with some of them and of its metadata replaced."""
    with safe_open(source, "pt") as file:
        kept = {key: file.get_tensor(key) for key in file.keys() if re.match(only, key)}  # noqa: SIM118
        told = json.loads(file.metadata()["meta"])
    target.parent.mkdir(exist_ok=True)
    save_file({**kept, **tensors}, target, {"meta": json.dumps({**told, **(meta or {})})})
    return target


def test_in_mixed_precision_latents_and_velocities_are_near(fixtures: Path, tmp_path: Path):
    """As a GPU computes: what the network makes is within two hundredths, and is no longer the exact answer."""
    shutil.copy(fixtures / "tolerances.json", tmp_path)
    changed(
        fixtures / "tiny" / "net_v1.safetensors",
        tmp_path / "tiny" / "net_v1.safetensors",
    )
    lines = {line.tensor: line for line in parity.run(tmp_path, precision="bf16")}
    bounded = [line for line in lines.values() if line.tolerance is not None]
    assert {line.verdict for line in bounded} == {"ok"}
    assert all(1e-4 < line.error < 2e-2 for line in bounded if line.error)
    assert lines["trace.joint_blocks.0"].verdict == "informative"


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


def test_a_case_that_cannot_run_counts_as_not_run(
    fixtures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    """Without PyAV the frame cases are not run, and the command succeeds."""
    monkeypatch.setitem(sys.modules, "av", None)
    assert parity.main([str(fixtures), "--case", "pre/testsrc_30fps_d2"]) == 0
    said = capsys.readouterr().out
    assert "14 not run" in said
    assert "PyAV is not installed" in said


def test_a_folder_of_cases_may_be_named_from_inside(
    fixtures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    """Inside the folder `.` has the same inputs and tolerances as its name from outside."""
    monkeypatch.chdir(fixtures / "tiny")
    assert parity.main([".", "--case", "vae_16k"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("2 ok, 0 FAILED, 0 informative, 2 not built")


def test_integers_of_another_length_fail(fixtures: Path, tmp_path: Path):
    """Frame indices match exactly or not at all, tolerance or none; so do the duration and the shapes that a case tells."""
    source = fixtures / "pre" / "testsrc_30fps_d2.safetensors"
    with safe_open(source, "pt") as file:
        short = file.get_tensor("index_25fps")[:-1]
    changed(source, tmp_path / "pre" / source.name, {"returned_duration": 1.5, "sync_shape": [49]}, index_25fps=short)
    shutil.copy(fixtures / "pre" / "testsrc2_30fps_3s_320x180.mp4", tmp_path / "pre")
    verdicts = {line.tensor: line.verdict for line in parity.run(tmp_path)}
    failed = {"index_25fps", "returned_ms", "sync_shape"}
    assert {name for name, verdict in verdicts.items() if verdict == "FAILED"} == failed
    assert verdicts["index_8fps"] == verdicts["clip_shape"] == "ok"


@pytest.mark.parametrize(
    ("case", "meta", "words"),
    [
        ("pre/testsrc_30fps_d2", {}, "testsrc2_30fps_3s_320x180.mp4 is missing"),
        ("tiny/net_v1_bf16", {}, "net_v1.safetensors is missing"),
        ("tiny/net_v1", {"config": {"text_len": 20}}, "text_len is 20"),
    ],
)
def test_what_a_case_lacks_is_said_and_the_others_run(
    fixtures: Path, tmp_path: Path, case: str, meta: dict[str, object], words: str
):
    """A missing file beside a case is a word in its lines, not the end of the run."""
    changed(fixtures / f"{case}.safetensors", tmp_path / f"{case}.safetensors", meta)
    changed(fixtures / "tiny" / "tables.safetensors", tmp_path / "tiny" / "tables_more.safetensors")
    lines = {name: [line for line in parity.run(tmp_path) if line.case == name] for name in (case, "tiny/tables_more")}
    assert {line.verdict for line in lines[case]} == {"not run"}
    assert words in lines[case][0].note
    assert {line.verdict for line in lines["tiny/tables_more"]} == {"informative"}
