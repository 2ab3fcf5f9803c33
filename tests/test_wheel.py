"""The wheel, as a stranger installs it: complete, and able to do the main job in an empty folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest

from tests.hosted.programs import clean

ROOT = Path(__file__).parent.parent


def run(*command: object, cwd: Path, environment: dict[str, str] | None = None) -> str:
    """What it says on stdout; fails with what it says on stderr."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=clean(environment or {}), capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the sdist and the wheel that is made from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.mark.slow
def test_the_wheel_is_complete(built):
    """Everything that programs read at run time is in the wheel, and nothing that only we need."""
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    migrations = {f"rhythmai/migrations/{file.name}" for file in (ROOT / "supabase" / "migrations").glob("*.sql")}
    assert names >= migrations | {
        "edge_api/openapi.yaml",
        "rhythmai/env.example",
        "rhythmai/local/baseline.sql",
        "rhythmai/local/gateway.sql",
        "rhythmai/py.typed",
    }
    built_page = {str(file.relative_to(ROOT)) for file in (ROOT / "edge_api" / "static").rglob("*") if file.is_file()}
    assert names >= built_page
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"rhythmai", "edge_api", "worker"}
    assert not [name for name in names if "__pycache__" in name or "/test" in name]


@pytest.mark.slow
def test_the_sdist_is_complete(built):
    """Whoever has only the sdist can build, test and deploy."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= {
        "pyproject.toml",
        "Makefile",
        ".env.example",
        "tests/test_wheel.py",
        "docs/hosted.md",
        "deploy/api.Dockerfile",
    }


@pytest.fixture
def place():
    """Not under pytest's own folder, into which the system user that Postgres needs when we are root cannot look."""
    folder = Path(tempfile.mkdtemp(prefix="rhythmai-wheel-"))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
def test_a_stranger_makes_music(built, place):
    """In an empty environment and folder, with the wheel and nothing else, the version is told and the demo makes tracks."""
    (wheel,) = built.glob("*.whl")
    environment, folder = place / "environment", place / "elsewhere"
    folder.mkdir()
    run(sys.executable, "-m", "venv", environment, cwd=folder)
    pip = (
        environment / "bin" / "python",
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "install",
        "--no-compile",
    )
    run(*pip, f"rhythmai[local] @ {wheel.as_uri()}", cwd=folder)
    rhythmai, home = environment / "bin" / "rhythmai", {"XDG_DATA_HOME": str(place / "data"), "HOME": str(place)}
    version = wheel.name.split("-")[1]
    assert run(rhythmai, "--version", cwd=folder) == f"rhythmai {version}\n"
    assert run(rhythmai, "env", "--example", cwd=folder) == (ROOT / ".env.example").read_text()
    asked = {"_RHYTHMAI_COMPLETE": "complete_bash", "COMP_WORDS": "rhythmai mig", "COMP_CWORD": "1"}
    assert run(rhythmai, cwd=folder, environment=home | asked).split() == ["migrate"]
    run(rhythmai, "demo", cwd=folder, environment=home)
    assert {file.name for file in (folder / "output").iterdir()} >= {
        "track-1.flac",
        "track-2.flac",
        "track-3.flac",
        "merged.mp4",
    }
