"""`bench/gpu.sh` runs to its end on a machine without a GPU, and a section that fails takes none of the others along."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SECTIONS = [
    "device", "parity", "kernels", "load", "bench", "distances", "films", "capture", "alternating", "oom_cancel", "profile",
]  # fmt: skip


def gpu(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OUT": str(out), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", ROOT / "bench" / "gpu.sh", *options], env=environment, capture_output=True, text=True, check=False
    )


def found(out: Path) -> dict[str, Any]:
    return json.loads((out / "gpu.json").read_text())["sections"]


@pytest.mark.slow
@pytest.mark.long
def test_a_rehearsal_goes_through_every_section(tmp_path: Path):
    """At tiny sizes on a CPU, without the packages that a GPU machine lacks; the table comes last, and few files are left."""
    done = gpu(tmp_path, "--rehearse")
    sections = found(tmp_path)
    assert {name: section["verdict"] for name, section in sections.items()} == dict.fromkeys(SECTIONS, "ok"), (
        done.stdout
    )
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()[-len(SECTIONS) :]] == SECTIONS
    assert sections["bench"]["facts"]["apart"] < 1e-4
    assert sections["kernels"]["facts"]["told"] == []
    assert {path.name for path in tmp_path.iterdir()} == {"gpu.json", "gpu.log", "profile.txt"}


def test_a_late_section_is_told_and_skipped(tmp_path: Path):
    """What comes after it runs in a process of its own."""
    done = gpu(tmp_path, "--rehearse", "--only=device,kernels,films", "--only=parity", "--limit=parity=0.05")
    sections = found(tmp_path)
    verdicts = {name: section["verdict"] for name, section in sections.items()}
    assert verdicts == {"device": "ok", "parity": "late", "kernels": "ok", "load": "ok", "films": "ok"}, done.stdout
    assert "longer than 0.05 s" in sections["parity"]["line"]
    assert done.returncode == 1


def test_without_a_model_what_needs_it_is_skipped(tmp_path: Path):
    """Loading has a limit too, and is tried once."""
    done = gpu(tmp_path, "--rehearse", "--only=device,films,profile", "--limit=load=0.05")
    verdicts = {name: section["verdict"] for name, section in found(tmp_path).items()}
    assert verdicts == {"device": "ok", "load": "late", "films": "skipped", "profile": "skipped"}, done.stdout


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--only=speed", "'speed' is no section: choose among device, parity, kernels"),
        ("--limit=bench", "'bench' is no limit: write SECTION=SECONDS"),
    ],
)
def test_a_wrong_option_is_one_line(tmp_path: Path, option: str, words: str):
    """It names the value and what there is."""
    done = gpu(tmp_path, option)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
