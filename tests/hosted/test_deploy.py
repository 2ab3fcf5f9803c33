"""Dockerfiles and systemd units, linted: they cannot be built here."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from worker.assembly import EXIT_START_AGAIN

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
DOCKERFILES = sorted(DEPLOY.glob("*.Dockerfile"))
UNITS = sorted(DEPLOY.glob("*.service"))
OF_OTHERS = {"PYTHONUNBUFFERED", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"}
DOCUMENTED = set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """(instruction, rest) with continued lines joined and comments left out."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_dockerfiles_are_sound(file):
    """Bases and packages are pinned by their digests, nothing runs as root, the program gets its signals, and no layer keeps what nobody needs."""
    found = instructions(file)
    bases = [rest.split()[0] for word, rest in found if word == "FROM"]
    assert all(re.search(r":\d[\w.-]*@sha256:[0-9a-f]{64}$", base) for base in bases)
    final = found[max(i for i, (word, _) in enumerate(found) if word == "FROM") :]
    words = dict(final)
    assert words["USER"] == "rhythmai"
    command = json.loads(words["ENTRYPOINT"])  # the exec form: a shell would keep SIGTERM to itself
    assert command[:2] == ["python", "-m"]
    assert importlib.util.find_spec(f"{command[2]}.__main__")
    for word, rest in found:
        if word == "RUN" and "pip " in rest:
            assert "--no-cache-dir" in rest
            assert all("--no-deps" in one or "--require-hashes" in one for one in rest.split("&&") if "pip " in one)
        if word == "RUN" and "apt-get install" in rest:
            assert "--no-install-recommends" in rest
            assert "rm -rf /var/lib/apt/lists" in rest
        if word == "ENV":
            assert set(re.findall(r"(\w+)=", rest)) <= DOCUMENTED | OF_OTHERS
        assert word != "ADD"
    assert not re.search(r"SUPABASE_KEY|DATABASE_URL|API_KEY", file.read_text()), "secrets come with the environment"


def test_the_gpu_image_can_compile():
    """Triton compiles with a C compiler when a worker starts: the image brings one, and the C library's headers."""
    found = instructions(DEPLOY / "worker-cuda.Dockerfile")
    (installed,) = (rest for word, rest in found if word == "RUN" and "apt-get install" in rest)
    assert {"ffmpeg", "gcc", "libc6-dev"} <= set(installed.split())


def test_a_container_is_well_while_it_answers():
    """The health check asks the API itself: a database that is away is no reason to kill what waits for it."""
    words = dict(instructions(DEPLOY / "api.Dockerfile"))
    assert "/api/v1/ping" in words["HEALTHCHECK"]


def test_the_build_context_is_enough():
    """What the wheel is made of is let in by .dockerignore, and .env never is."""
    let_in = set(re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert let_in >= {
        "rhythmai",
        "edge_api",
        "worker",
        "supabase",
        "deploy",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        ".env.example",
    }
    assert ".env" not in let_in
    assert all((ROOT / path).exists() for path in let_in)


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_units_are_sound(file, tmp_path):
    """Each unit starts one of our programs; systemd (where it is) finds nothing to complain about, and little that is exposed."""
    text = file.read_text()
    module = re.search(r"^ExecStart=/opt/rhythmai/bin/python -m (\w+)$", text, re.MULTILINE)[1]
    assert importlib.util.find_spec(f"{module}.__main__")
    assert "EnvironmentFile=/etc/rhythmai/env" in text
    if shutil.which("systemd-analyze"):
        copy = tmp_path / file.name
        copy.write_text(text.replace("/opt/rhythmai/bin/python", sys.executable))
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False
        )
        ours = [line for line in done.stderr.splitlines() if file.name in line]
        assert not ours, ours
        said = subprocess.run(
            ["systemd-analyze", "security", "--offline=yes", "--no-pager", copy],
            capture_output=True,
            text=True,
            check=True,
        )
        assert float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said.stdout)[1]) < 3


def test_exit_codes_and_units_agree():
    """The worker's unit restarts a lost GPU, leaves a drained or misconfigured worker alone, and waits out its grace."""
    text = (DEPLOY / "rhythmai-worker.service").read_text()
    assert "Restart=on-failure" in text
    assert EXIT_START_AGAIN == 3
    assert "RestartPreventExitStatus=2\n" in text
    grace = re.search(r"^# GRACE_S=(\d+)$", (ROOT / ".env.example").read_text(), re.MULTILINE)[1]
    assert int(re.search(r"TimeoutStopSec=(\d+)", text)[1]) > int(grace)
